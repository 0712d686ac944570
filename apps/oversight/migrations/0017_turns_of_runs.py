from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('approvals', '0016_snoozes'),
    ]

    operations = [
        migrations.AddField(
            model_name='askingturn',
            name='run_id',
            field=models.UUIDField(null=True),
        ),
        migrations.AddIndex(
            model_name='askingturn',
            index=models.Index(fields=['run_id'], name='approvals_turn_of_run'),
        ),
    ]
