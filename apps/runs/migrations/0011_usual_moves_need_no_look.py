from django.db import migrations

# The usual moves of a step and a run, which are in the table of legal transitions (a test says so),
# are let through without a call of the trigger's function: it cost a fifth of ending a step.
USUAL = (
    "(OLD.state = 'running' AND NEW.state IN ('succeeded', 'failed'))"
    " OR (OLD.state = 'queued' AND NEW.state = 'running')"
)


def triggers(unless: str) -> str:
    return "".join(
        f"""
        DROP TRIGGER {table}_legal_transition ON {table};
        CREATE TRIGGER {table}_legal_transition BEFORE UPDATE OF state ON {table} FOR EACH ROW
          WHEN (OLD.state IS DISTINCT FROM NEW.state{unless})
          EXECUTE FUNCTION runs_legal_transition();
        """
        for table in ("runs_run", "runs_step")
    )


# An attempt is written twice, at its begin and its end: room for the second in the same page.
SQL = triggers(f" AND NOT ({USUAL})") + "ALTER TABLE runs_attempt SET (fillfactor = 50);"
UNDO = triggers("") + "ALTER TABLE runs_attempt SET (fillfactor = 85);"


class Migration(migrations.Migration):
    dependencies = [("runs", "0010_forms_are_carried_out_once")]
    operations = [
        migrations.RunSQL(SQL, UNDO),
        # Receipts are read by their steps.
        migrations.RemoveIndex(model_name="receipt", name="runs_receipt_run"),
    ]
