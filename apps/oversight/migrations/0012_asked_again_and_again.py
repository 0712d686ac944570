from django.db import migrations, models

CALL = (
    "md5((%(expressions)s ->> 'tool') || ' ' || (%(expressions)s -> 'arguments')::text"
    " || coalesce((%(expressions)s -> 'context')::text, ''))"
)
CHANGES = "md5((%(expressions)s -> 'changes')::text)"
REJECTED = models.Q(('state', 'rejected'))


class Migration(migrations.Migration):

    dependencies = [
        ('approvals', '0011_decided_together'),
    ]

    operations = [
        migrations.CreateModel(
            name='AskingTurn',
            fields=[
                ('step_id', models.UUIDField(primary_key=True, serialize=False)),
                ('agent_slug', models.CharField(max_length=80)),
                ('given_at', models.DateTimeField()),
                ('at', models.DateTimeField()),
            ],
            options={
                'indexes': [
                    models.Index(fields=['agent_slug', '-at'], name='approvals_turn_of_agent'),
                    models.Index(fields=['at'], name='approvals_turn_at'),
                ],
            },
        ),
        migrations.AddIndex(
            model_name='approval',
            index=models.Index(models.Func('binding', output_field=models.TextField(), template=CALL), models.F('decided_at'), condition=REJECTED, name='approvals_rejected_call'),
        ),
        migrations.AddIndex(
            model_name='approval',
            index=models.Index(models.Func('preview', output_field=models.TextField(), template=CHANGES), models.F('decided_at'), condition=REJECTED, name='approvals_rejected_changes'),
        ),
    ]
