import django.db.models.deletion
import django.db.models.functions.datetime
import django.db.models.functions.text
from django.conf import settings
from django.db import migrations, models

# Who decided everything goes on deciding everything.
FIRST = """
INSERT INTO accounts_team (name, domains, jobs, takes_new, number, created_at)
VALUES ('Everyone', '[]', '[]', true, 1, now());
INSERT INTO accounts_membership (team_id, user_id, leads)
SELECT accounts_team.id, accounts_user.id, false FROM accounts_team, accounts_user
WHERE accounts_user.role = 'operator';
"""


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0009_saved_views'),
    ]

    operations = [
        migrations.CreateModel(
            name='Team',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=60)),
                ('domains', models.JSONField(blank=True, default=list)),
                ('jobs', models.JSONField(blank=True, default=list)),
                ('most_cents', models.BigIntegerField(null=True)),
                ('highest_risk', models.PositiveSmallIntegerField(null=True)),
                ('takes_new', models.BooleanField(db_default=False, default=False)),
                ('number', models.PositiveIntegerField(db_default=1, default=1)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                'ordering': ['name', 'pk'],
                'constraints': [
                    models.UniqueConstraint(django.db.models.functions.text.Lower('name'), name='accounts_team_name'),
                    models.CheckConstraint(condition=models.Q(('most_cents', None), ('most_cents__gte', 0), _connector='OR'), name='accounts_team_amount'),
                    models.CheckConstraint(condition=models.Q(('highest_risk', None), ('highest_risk__range', (1, 4)), _connector='OR'), name='accounts_team_risk'),
                ],
            },
        ),
        migrations.CreateModel(
            name='Membership',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('leads', models.BooleanField(default=False)),
                ('team', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='memberships', to='accounts.team')),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='memberships', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'constraints': [
                    models.UniqueConstraint(fields=('team', 'user'), name='accounts_membership_once'),
                ],
            },
        ),
        migrations.RunSQL(FIRST, "DELETE FROM accounts_membership; DELETE FROM accounts_team"),
    ]
