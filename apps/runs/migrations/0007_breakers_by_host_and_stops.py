import datetime

import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('runs', '0006_bounds_of_load'),
    ]

    operations = [
        # Breakers are transient: rows that are missing are closed, so none is carried over.
        migrations.DeleteModel(name='Breaker'),
        migrations.CreateModel(
            name='Breaker',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('tool_name', models.CharField(max_length=120)),
                ('host', models.CharField(blank=True, max_length=255)),
                ('state', models.CharField(default='closed', max_length=10)),
                ('window_started_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('calls', models.PositiveIntegerField(default=0)),
                ('failures', models.PositiveIntegerField(default=0)),
                ('timeouts_in_a_row', models.PositiveIntegerField(default=0)),
                ('probes_passed', models.PositiveSmallIntegerField(default=0)),
                ('opened_at', models.DateTimeField(null=True)),
                ('open_until', models.DateTimeField(null=True)),
                ('reason', models.CharField(blank=True, max_length=500)),
                ('manual', models.BooleanField(default=False)),
                ('actor', models.CharField(blank=True, max_length=150)),
                ('changed_at', models.DateTimeField(null=True)),
            ],
        ),
        migrations.AddConstraint(
            model_name='breaker',
            constraint=models.UniqueConstraint(fields=('tool_name', 'host'), name='runs_breaker_unique'),
        ),
        migrations.CreateModel(
            name='Stop',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('scope', models.CharField(choices=[('tool', 'tool'), ('agent', 'agent'), ('job', 'job'), ('everything', 'everything')], max_length=12)),
                ('target', models.CharField(blank=True, max_length=120)),
                ('reason', models.CharField(max_length=500)),
                ('placed_by', models.CharField(max_length=150)),
                ('placed_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('percent', models.PositiveSmallIntegerField(default=0)),
                ('stage_by', models.CharField(blank=True, max_length=150)),
                ('stage_at', models.DateTimeField(null=True)),
                ('lifted_by', models.CharField(blank=True, max_length=150)),
                ('lifted_at', models.DateTimeField(null=True)),
                ('lift_reason', models.CharField(blank=True, max_length=500)),
            ],
        ),
        migrations.AddConstraint(
            model_name='stop',
            constraint=models.UniqueConstraint(condition=models.Q(('lifted_at', None)), fields=('scope', 'target'), name='runs_stop_once_in_force'),
        ),
        migrations.AddConstraint(
            model_name='stop',
            constraint=models.CheckConstraint(condition=models.Q(('percent__lt', 100)), name='runs_stop_percent_below_100'),
        ),
        migrations.AddIndex(
            model_name='run',
            index=models.Index(condition=models.Q(('finished_at', None), ('paused_at__isnull', False)), fields=['paused_at'], name='runs_run_paused'),
        ),
        migrations.AddIndex(
            model_name='step',
            index=models.Index(condition=models.Q(('not_before__gte', datetime.datetime(9000, 1, 1, 0, 0, tzinfo=datetime.timezone.utc)), ('state', 'queued')), fields=['id'], name='runs_step_parked'),
        ),
    ]
