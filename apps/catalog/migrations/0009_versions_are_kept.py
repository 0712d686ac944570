from django.db import migrations

KEPT = ('catalog_contractversion', 'catalog_toolversion', 'catalog_agentversion', 'catalog_promptversion', 'catalog_languagemodelversion')  # never deleted; other triggers say what may change
SQL = "".join(
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
    for table in KEPT
)
UNDO = "".join(f"DROP TRIGGER {table}_never_deleted ON {table};" for table in KEPT) + "".join(f"DROP TRIGGER {table}_never_emptied ON {table};" for table in KEPT)


class Migration(migrations.Migration):
    dependencies = [("catalog", "0008_models_are_documents"), ("audit", "0008_only_added_to")]
    operations = [migrations.RunSQL(SQL, UNDO)]
