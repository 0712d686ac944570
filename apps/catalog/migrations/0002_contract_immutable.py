from django.db import migrations

SQL = """
CREATE FUNCTION catalog_contractversion_immutable() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'catalog_contractversion rows are immutable once published'
    USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER catalog_contractversion_immutable BEFORE UPDATE ON catalog_contractversion
  FOR EACH ROW EXECUTE FUNCTION catalog_contractversion_immutable();
"""
UNDO = "DROP TRIGGER catalog_contractversion_immutable ON catalog_contractversion; DROP FUNCTION catalog_contractversion_immutable();"


class Migration(migrations.Migration):
    dependencies = [("catalog", "0001_initial")]
    operations = [migrations.RunSQL(SQL, UNDO)]
