"""A run's context takes the place of `world` and `dialect`, a step's `ref` that of `script_ref`.

The old columns stay, with defaults, so that a process of the release before can go on beside this
one: what it writes and reads there is kept equal by two triggers, which do nothing for other runs.
"""

from django.db import migrations, models

NOTHING = migrations.RunSQL.noop
COLUMNS = [
    ("SET LOCAL statement_timeout = 0", NOTHING),  # of a long history
    ("ALTER TABLE runs_run ALTER COLUMN world SET DEFAULT 'live'", NOTHING),
    ("ALTER TABLE runs_run ALTER COLUMN dialect SET DEFAULT ''", NOTHING),
    ("ALTER TABLE runs_step ALTER COLUMN script_ref SET DEFAULT ''", NOTHING),
    (
        "ALTER TABLE runs_run ADD COLUMN context jsonb NOT NULL DEFAULT '{}'",
        "ALTER TABLE runs_run DROP COLUMN context",
    ),
]
TELL = """
    UPDATE runs_run SET context =
        CASE WHEN world <> 'live' THEN jsonb_build_object('world', world) ELSE '{}' END
        || CASE WHEN dialect <> '' THEN jsonb_build_object('dialect', dialect) ELSE '{}' END
    WHERE world <> 'live' OR dialect <> ''
"""
REFER = "UPDATE runs_step SET ref = script_ref WHERE script_ref <> ''"
BESIDE = """
    CREATE FUNCTION runs_run_beside() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NEW.context = '{}' THEN
            NEW.context :=
                CASE WHEN NEW.world <> 'live' THEN jsonb_build_object('world', NEW.world)
                    ELSE '{}' END
                || CASE WHEN NEW.dialect <> '' THEN jsonb_build_object('dialect', NEW.dialect)
                    ELSE '{}' END;
        ELSE
            NEW.world := left(coalesce(NEW.context->>'world', 'live'), 80);
            NEW.dialect := left(coalesce(NEW.context->>'dialect', ''), 8);
        END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER runs_run_beside BEFORE INSERT ON runs_run FOR EACH ROW
        WHEN (NEW.context <> '{}' OR NEW.world <> 'live' OR NEW.dialect <> '')
        EXECUTE FUNCTION runs_run_beside();
    CREATE FUNCTION runs_step_beside() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        NEW.ref := coalesce(nullif(NEW.ref, ''), NEW.script_ref);
        NEW.script_ref := NEW.ref;
        RETURN NEW;
    END $$;
    CREATE TRIGGER runs_step_beside BEFORE INSERT ON runs_step FOR EACH ROW
        WHEN (NEW.ref <> NEW.script_ref) EXECUTE FUNCTION runs_step_beside();
"""
ALONE = """
    DROP TRIGGER runs_run_beside ON runs_run;
    DROP TRIGGER runs_step_beside ON runs_step;
    DROP FUNCTION runs_run_beside;
    DROP FUNCTION runs_step_beside;
"""


class Migration(migrations.Migration):
    dependencies = [("runs", "0021_words_of_results")]

    operations = [
        migrations.SeparateDatabaseAndState(
            [migrations.RunSQL(*sql) for sql in COLUMNS],
            [
                migrations.AddField("run", "context", models.JSONField(default=dict)),
                migrations.RemoveField("run", "world"),
                migrations.RemoveField("run", "dialect"),
                migrations.RemoveField("step", "script_ref"),
            ],
        ),
        migrations.AddField(
            "step", "ref", models.CharField(blank=True, db_default="", max_length=40)
        ),
        migrations.RunSQL(TELL, NOTHING),
        migrations.RunSQL(REFER, NOTHING),
        migrations.RunSQL(BESIDE, ALONE),
    ]
