import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

# What was proposed and what was confirmed stay; a grant that ended is not used any more.
SQL = """
CREATE TRIGGER approvals_grant_as_proposed
  BEFORE UPDATE OF id, source_id, domain_slug, job_slug, tool_name, bounds, most_uses, proposed_by_id,
    proposed_at, reason, proposal_signature, proposal_key, lapses_at OR DELETE
  ON approvals_grant FOR EACH ROW EXECUTE FUNCTION tower_append_only();
CREATE TRIGGER approvals_grant_confirmed_once
  BEFORE UPDATE OF confirmed_by_id, confirmed_at, confirm_reason, signature, key_id, ends_at
  ON approvals_grant FOR EACH ROW WHEN (OLD.confirmed_at IS NOT NULL) EXECUTE FUNCTION tower_append_only();
CREATE TRIGGER approvals_grant_used_up_only BEFORE UPDATE OF used
  ON approvals_grant FOR EACH ROW WHEN (NEW.used < OLD.used) EXECUTE FUNCTION tower_append_only();
CREATE TRIGGER approvals_grant_ended_for_good BEFORE UPDATE OF state
  ON approvals_grant FOR EACH ROW
  WHEN (OLD.state NOT IN ('proposed', 'active', 'used') AND NEW.state <> OLD.state)
  EXECUTE FUNCTION tower_append_only();
CREATE TRIGGER approvals_grant_never_emptied BEFORE TRUNCATE ON approvals_grant
  FOR EACH STATEMENT EXECUTE FUNCTION tower_append_only();
CREATE TRIGGER approvals_grantuse_only_added_to BEFORE UPDATE OR DELETE ON approvals_grantuse
  FOR EACH ROW EXECUTE FUNCTION tower_append_only();
CREATE TRIGGER approvals_grantuse_never_emptied BEFORE TRUNCATE ON approvals_grantuse
  FOR EACH STATEMENT EXECUTE FUNCTION tower_append_only();
"""
UNDO = """
DROP TRIGGER approvals_grant_as_proposed ON approvals_grant;
DROP TRIGGER approvals_grant_confirmed_once ON approvals_grant;
DROP TRIGGER approvals_grant_used_up_only ON approvals_grant;
DROP TRIGGER approvals_grant_ended_for_good ON approvals_grant;
DROP TRIGGER approvals_grant_never_emptied ON approvals_grant;
DROP TRIGGER approvals_grantuse_only_added_to ON approvals_grantuse;
DROP TRIGGER approvals_grantuse_never_emptied ON approvals_grantuse;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('approvals', '0017_turns_of_runs'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AlterField(
            model_name='reversal',
            name='decided_by',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.CreateModel(
            name='Grant',
            fields=[
                ('id', models.UUIDField(primary_key=True, serialize=False)),
                ('domain_slug', models.SlugField()),
                ('job_slug', models.SlugField()),
                ('tool_name', models.CharField(max_length=80)),
                ('bounds', models.JSONField()),
                ('most_uses', models.PositiveSmallIntegerField()),
                ('used', models.PositiveSmallIntegerField(default=0)),
                ('state', models.CharField(choices=[('proposed', 'Waiting for confirmation'), ('active', 'Active'), ('used', 'All used'), ('ended', 'Time over'), ('declined', 'Declined'), ('revoked', 'Revoked'), ('void', 'Void'), ('refused', 'Refused')], default='proposed', max_length=10)),
                ('proposed_at', models.DateTimeField()),
                ('reason', models.TextField()),
                ('proposal_signature', models.TextField()),
                ('proposal_key', models.CharField(max_length=32)),
                ('lapses_at', models.DateTimeField()),
                ('confirmed_at', models.DateTimeField(null=True)),
                ('confirm_reason', models.TextField(blank=True)),
                ('signature', models.TextField(blank=True)),
                ('key_id', models.CharField(blank=True, max_length=32)),
                ('ends_at', models.DateTimeField(null=True)),
                ('ended_at', models.DateTimeField(null=True)),
                ('ended_why', models.TextField(blank=True)),
                ('confirmed_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('ended_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('proposed_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('source', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='approvals.approval')),
            ],
            options={
                'ordering': ['-proposed_at', 'pk'],
                'indexes': [models.Index(condition=models.Q(('state', 'active')), fields=['tool_name'], name='approvals_grant_active'), models.Index(fields=['state', '-proposed_at'], name='approvals_grant_listed')],
                'constraints': [models.CheckConstraint(condition=models.Q(('used__lte', models.F('most_uses'))), name='approvals_grant_used_within_count'), models.CheckConstraint(condition=models.Q(models.Q(('state__in', ['active', 'used']), _negated=True), models.Q(('confirmed_by__isnull', False), ('ends_at__isnull', False)), _connector='OR'), name='approvals_grant_counts_once_confirmed'), models.CheckConstraint(condition=models.Q(('confirmed_by', None), models.Q(('confirmed_by', models.F('proposed_by')), _negated=True), _connector='OR'), name='approvals_grant_two_people')],
            },
        ),
        migrations.CreateModel(
            name='GrantUse',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveSmallIntegerField()),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('approval', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='grant_use', to='approvals.approval')),
                ('grant', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='uses', to='approvals.grant')),
            ],
            options={
                'ordering': ['number'],
                'constraints': [models.UniqueConstraint(fields=('grant', 'number'), name='approvals_grantuse_numbered')],
            },
        ),
        migrations.RunSQL(SQL, UNDO),
    ]
