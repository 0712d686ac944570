import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('audit', '0006_subscriptions'),
    ]

    operations = [
        migrations.CreateModel(
            name='DutyLease',
            fields=[
                ('name', models.CharField(max_length=20, primary_key=True, serialize=False)),
                ('holder', models.CharField(max_length=128)),
                ('token', models.BigIntegerField()),
                ('since', models.DateTimeField()),
                ('until', models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name='DutyStanding',
            fields=[
                ('name', models.CharField(max_length=60, primary_key=True, serialize=False)),
                ('words', models.CharField(blank=True, db_default='', max_length=200)),
                ('every_s', models.FloatField()),
                ('first_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('ran_at', models.DateTimeField(null=True)),
                ('succeeded_at', models.DateTimeField(null=True)),
                ('failed_at', models.DateTimeField(null=True)),
                ('failures', models.PositiveIntegerField(default=0)),
                ('error', models.CharField(blank=True, max_length=500)),
                ('took_ms', models.FloatField(default=0)),
                ('did', models.BigIntegerField(null=True)),
                ('set_aside', models.IntegerField(db_default=0)),
                ('aside', models.TextField(blank=True, db_default='')),
                ('token', models.BigIntegerField(db_default=0)),
            ],
        ),
    ]
