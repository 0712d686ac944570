import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('runs', '0002_legal_transitions'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Finding',
            fields=[
                ('id', models.UUIDField(primary_key=True, serialize=False)),
                ('run_id', models.UUIDField()),
                ('round', models.PositiveSmallIntegerField()),
                ('word', models.CharField(max_length=12)),
                ('evidence', models.TextField(blank=True)),
                ('settled', models.BooleanField(default=False)),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
        ),
        migrations.AddIndex(
            model_name='step',
            index=models.Index(condition=models.Q(('state', 'confirmation_unknown')), fields=['not_before'], name='runs_step_unknown'),
        ),
        migrations.AddField(
            model_name='finding',
            name='person',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='finding',
            name='step',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='findings', to='runs.step'),
        ),
        migrations.AddIndex(
            model_name='finding',
            index=models.Index(fields=['step', 'at'], name='runs_finding_step'),
        ),
        migrations.AddConstraint(
            model_name='finding',
            constraint=models.UniqueConstraint(condition=models.Q(('settled', True)), fields=('step', 'round'), name='runs_finding_settles_once'),
        ),
    ]
