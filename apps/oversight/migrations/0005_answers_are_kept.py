from django.db import migrations

ANSWERS = ("approvals_approval", "approvals_vote", "approvals_escalation")
# A vote that nobody signed is taken out while its question is open (decision 0049); an approval's
# state moves on.
SQL = (
    """
CREATE FUNCTION approvals_vote_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE'
     AND (SELECT state FROM approvals_approval WHERE id = OLD.approval_id) = 'pending'
  THEN RETURN OLD; END IF;
  RAISE EXCEPTION 'approvals_vote is append-only: % is refused', TG_OP
    USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER approvals_vote_only_added_to BEFORE UPDATE OR DELETE ON approvals_vote
  FOR EACH ROW EXECUTE FUNCTION approvals_vote_append_only();
CREATE TRIGGER approvals_escalation_only_added_to BEFORE UPDATE OR DELETE ON approvals_escalation
  FOR EACH ROW EXECUTE FUNCTION tower_append_only();
CREATE TRIGGER approvals_approval_never_deleted BEFORE DELETE ON approvals_approval
  FOR EACH ROW EXECUTE FUNCTION tower_append_only();
"""
    + "".join(
        f"""
CREATE TRIGGER {table}_never_emptied BEFORE TRUNCATE ON {table}
  FOR EACH STATEMENT EXECUTE FUNCTION tower_append_only();
"""
        for table in ANSWERS
    )
)
UNDO = (
    "DROP TRIGGER approvals_vote_only_added_to ON approvals_vote;"
    "DROP FUNCTION approvals_vote_append_only();"
    "DROP TRIGGER approvals_escalation_only_added_to ON approvals_escalation;"
    "DROP TRIGGER approvals_approval_never_deleted ON approvals_approval;"
    + "".join(f"DROP TRIGGER {table}_never_emptied ON {table};" for table in ANSWERS)
)


class Migration(migrations.Migration):
    dependencies = [("approvals", "0004_signed_votes"), ("audit", "0008_only_added_to")]
    operations = [migrations.RunSQL(SQL, UNDO)]
