from django.db import migrations

SQL = """
CREATE FUNCTION audit_event_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' AND OLD.position IS NULL AND NEW.position IS NOT NULL
     AND (OLD.id, OLD.at, OLD.kind, OLD.actor, OLD.subject_type, OLD.subject_id, OLD.run_id, OLD.payload)
         IS NOT DISTINCT FROM
         (NEW.id, NEW.at, NEW.kind, NEW.actor, NEW.subject_type, NEW.subject_id, NEW.run_id, NEW.payload)
  THEN RETURN NEW; END IF;
  RAISE EXCEPTION 'audit_event is append-only' USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER audit_event_append_only BEFORE UPDATE OR DELETE ON audit_event
  FOR EACH ROW EXECUTE FUNCTION audit_event_append_only();
"""
UNDO = "DROP TRIGGER audit_event_append_only ON audit_event; DROP FUNCTION audit_event_append_only();"


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_initial")]
    operations = [migrations.RunSQL(SQL, UNDO)]
