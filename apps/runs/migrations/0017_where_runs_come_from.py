from django.db import migrations, models

# Runs of before are told by their source; a fork by the run that its lineage began with.
TELL = [
    """
    UPDATE runs_run SET origin = CASE source WHEN 'desk' THEN 'practice' ELSE 'replay' END
    WHERE source IN ('desk', 'replay')
    """,
    """
    UPDATE runs_run branch SET origin = root.origin FROM runs_run root
    WHERE branch.source = 'fork' AND root.id = branch.root_id AND root.origin <> 'real'
    """,
]


class Migration(migrations.Migration):
    dependencies = [("runs", "0016_tell_answers_of_every_kind")]

    operations = [
        migrations.AddField(
            model_name="run",
            name="origin",
            field=models.CharField(db_default="real", default="real", max_length=8),
        ),
        migrations.AddIndex(
            model_name="run",
            index=models.Index(
                condition=models.Q(("origin", "real")), fields=["created_at"], name="runs_run_real"
            ),
        ),
        *[migrations.RunSQL(sql, migrations.RunSQL.noop) for sql in TELL],
    ]
