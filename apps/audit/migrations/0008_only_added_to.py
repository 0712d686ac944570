from django.db import migrations

# Used by the migrations of other apps too.
SQL = """
CREATE FUNCTION tower_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP
    USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER audit_event_never_emptied BEFORE TRUNCATE ON audit_event
  FOR EACH STATEMENT EXECUTE FUNCTION tower_append_only();
"""
UNDO = """
DROP TRIGGER audit_event_never_emptied ON audit_event;
DROP FUNCTION tower_append_only();
"""


class Migration(migrations.Migration):
    dependencies = [("audit", "0007_duties")]
    operations = [migrations.RunSQL(SQL, UNDO)]
