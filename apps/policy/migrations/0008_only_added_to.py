from django.db import migrations

ADDED_TO = ('policy_decision',)  # neither changed nor deleted
KEPT = ('policy_policyversion',)  # never deleted; other triggers say what may change
SQL = "".join(
    f"""
CREATE TRIGGER {table}_only_added_to BEFORE UPDATE OR DELETE ON {table}
  FOR EACH ROW EXECUTE FUNCTION tower_append_only();
"""
    for table in ADDED_TO
) + "".join(
    f"""
CREATE TRIGGER {table}_never_deleted BEFORE DELETE ON {table}
  FOR EACH ROW EXECUTE FUNCTION tower_append_only();
"""
    for table in KEPT
) + "".join(
    f"""
CREATE TRIGGER {table}_never_emptied BEFORE TRUNCATE ON {table}
  FOR EACH STATEMENT EXECUTE FUNCTION tower_append_only();
"""
    for table in ADDED_TO + KEPT
)
UNDO = "".join(f"DROP TRIGGER {table}_only_added_to ON {table};" for table in ADDED_TO) + "".join(f"DROP TRIGGER {table}_never_deleted ON {table};" for table in KEPT) + "".join(f"DROP TRIGGER {table}_never_emptied ON {table};" for table in ADDED_TO + KEPT)


class Migration(migrations.Migration):
    dependencies = [("policy", "0007_first_schema"), ("audit", "0008_only_added_to")]
    operations = [migrations.RunSQL(SQL, UNDO)]
