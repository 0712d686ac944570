from django.db import migrations

ADDED_TO = ('runs_receipt', 'runs_finding')  # neither changed nor deleted
SQL = "".join(
    f"""
CREATE TRIGGER {table}_only_added_to BEFORE UPDATE OR DELETE ON {table}
  FOR EACH ROW EXECUTE FUNCTION tower_append_only();
"""
    for table in ADDED_TO
) + "".join(
    f"""
CREATE TRIGGER {table}_never_emptied BEFORE TRUNCATE ON {table}
  FOR EACH STATEMENT EXECUTE FUNCTION tower_append_only();
"""
    for table in ADDED_TO
)
UNDO = "".join(f"DROP TRIGGER {table}_only_added_to ON {table};" for table in ADDED_TO) + "".join(f"DROP TRIGGER {table}_never_emptied ON {table};" for table in ADDED_TO)


class Migration(migrations.Migration):
    dependencies = [("runs", "0024_desks_leave"), ("audit", "0008_only_added_to")]
    operations = [migrations.RunSQL(SQL, UNDO)]
