"""Desks become the practice companies' own. Their table and its rows stay where they are."""

from django.db import migrations, models
from django.db.models.functions import Now


class Migration(migrations.Migration):

    initial = True
    dependencies = [("runs", "0024_desks_leave")]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.CreateModel(
                    name="Desk",
                    fields=[
                        ("domain_slug", models.SlugField(primary_key=True, serialize=False)),
                        ("is_open", models.BooleanField(default=True)),
                        ("per_minute", models.FloatField(default=2.0)),
                        ("next_case_at", models.DateTimeField(db_default=Now())),
                        ("next_index", models.PositiveIntegerField(default=0)),
                        ("changed_by", models.CharField(blank=True, max_length=150)),
                        ("changed_at", models.DateTimeField(null=True)),
                    ],
                    options={"db_table": "runs_desk"},
                )
            ]
        )
    ]
