from django.db import migrations

SQL = """
CREATE FUNCTION policy_policyversion_immutable() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'policy_policyversion rows are immutable once published'
    USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER policy_policyversion_immutable BEFORE UPDATE ON policy_policyversion
  FOR EACH ROW EXECUTE FUNCTION policy_policyversion_immutable();
"""
UNDO = "DROP TRIGGER policy_policyversion_immutable ON policy_policyversion; DROP FUNCTION policy_policyversion_immutable();"


class Migration(migrations.Migration):
    dependencies = [("policy", "0001_initial")]
    operations = [migrations.RunSQL(SQL, UNDO)]
