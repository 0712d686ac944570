from django.db import migrations

SQL = """
CREATE TRIGGER approvals_reversal_only_added_to BEFORE UPDATE OR DELETE ON approvals_reversal
  FOR EACH ROW EXECUTE FUNCTION tower_append_only();
CREATE TRIGGER approvals_reversal_never_emptied BEFORE TRUNCATE ON approvals_reversal
  FOR EACH STATEMENT EXECUTE FUNCTION tower_append_only();
"""
UNDO = """
DROP TRIGGER approvals_reversal_only_added_to ON approvals_reversal;
DROP TRIGGER approvals_reversal_never_emptied ON approvals_reversal;
"""


class Migration(migrations.Migration):
    dependencies = [("approvals", "0007_undo_window"), ("audit", "0008_only_added_to")]
    operations = [migrations.RunSQL(SQL, UNDO)]
