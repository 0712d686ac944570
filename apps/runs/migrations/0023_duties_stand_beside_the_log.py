"""How duties stand moves to the audit log's app, with what is known of them.

A sweeper of the release before writes ``runs_duty`` as it knows it, and an older site reads it: the
name stays as a view, which a later release drops.
"""

from django.db import migrations

COLUMNS = (
    "name, words, every_s, first_at, ran_at, succeeded_at, failed_at, failures, error, took_ms,"
    " did, set_aside, aside"
)
MOVE = f"""
    LOCK TABLE runs_duty IN ACCESS EXCLUSIVE MODE;
    INSERT INTO audit_dutystanding ({COLUMNS}) SELECT {COLUMNS} FROM runs_duty
        ON CONFLICT (name) DO NOTHING;
    DROP TABLE runs_duty;
    CREATE VIEW runs_duty AS SELECT {COLUMNS} FROM audit_dutystanding;
"""
MOVE_BACK = f"""
    DROP VIEW runs_duty;
    CREATE TABLE runs_duty (LIKE audit_dutystanding INCLUDING ALL);
    ALTER TABLE runs_duty DROP COLUMN token;
    INSERT INTO runs_duty ({COLUMNS}) SELECT {COLUMNS} FROM audit_dutystanding;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('audit', '0007_duties'),
        ('runs', '0022_a_runs_context'),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[migrations.DeleteModel(name='Duty')],
            database_operations=[migrations.RunSQL(MOVE, MOVE_BACK)],
        ),
    ]
