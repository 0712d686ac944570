from django.db import migrations

# A frozen copy of domain/states.py as it stood when this migration was written; a test compares
# the table in the database with the domain's.
LEGAL = {
    "accepted": ["queued", "cancelled", "shed", "failed"],
    "queued": ["running", "cancelled", "failed", "shed"],
    "running": [
        "queued", "waiting_approval", "succeeded", "failed", "confirmation_unknown",
        "compensating", "cancelled",
    ],
    "waiting_approval": ["queued", "running", "failed", "cancelled"],
    "confirmation_unknown": [
        "queued", "running", "succeeded", "failed", "compensating", "cancelled",
    ],
    "succeeded": ["compensating"],
    "failed": ["compensating"],
    "compensating": ["compensated", "confirmation_unknown", "failed"],
}
PAIRS = ",\n  ".join(f"('{old}', '{new}')" for old, news in LEGAL.items() for new in news)

SQL = f"""
CREATE TABLE runs_transition (old text NOT NULL, new text NOT NULL, PRIMARY KEY (old, new));
INSERT INTO runs_transition (old, new) VALUES
  {PAIRS};
CREATE FUNCTION runs_legal_transition() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NOT EXISTS (
    SELECT FROM runs_transition t WHERE t.old = OLD.state AND t.new = NEW.state) THEN
    RAISE EXCEPTION '% % may not go from % to %', TG_TABLE_NAME, OLD.id, OLD.state, NEW.state
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER runs_run_legal_transition BEFORE UPDATE OF state ON runs_run FOR EACH ROW
  WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION runs_legal_transition();
CREATE TRIGGER runs_step_legal_transition BEFORE UPDATE OF state ON runs_step FOR EACH ROW
  WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION runs_legal_transition();
CREATE SEQUENCE runs_fencing_token;
"""
UNDO = """
DROP SEQUENCE runs_fencing_token;
DROP TRIGGER runs_run_legal_transition ON runs_run;
DROP TRIGGER runs_step_legal_transition ON runs_step;
DROP FUNCTION runs_legal_transition();
DROP TABLE runs_transition;
"""


class Migration(migrations.Migration):
    dependencies = [("runs", "0001_initial")]
    operations = [migrations.RunSQL(SQL, UNDO)]
