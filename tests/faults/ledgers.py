"""A second opinion inside the database: every change of state and the audit events beside it.

Triggers that exist only in the plant's database write down each transition of runs, steps and
approvals, and each event, with the number of the transaction that made it. The checker compares
the two; the product doesn't know of them.
"""

from __future__ import annotations

from django.db import connection

SQL = """
CREATE TABLE proof_transition (
    id bigserial PRIMARY KEY, kind text NOT NULL, subject uuid NOT NULL, run_id uuid,
    old text, new text NOT NULL, xact xid8 NOT NULL, at timestamptz NOT NULL);
CREATE INDEX proof_transition_subject ON proof_transition (subject, id);
CREATE INDEX proof_transition_run ON proof_transition (run_id);
CREATE TABLE proof_event (
    event bigint PRIMARY KEY, kind text NOT NULL, subject text NOT NULL, run_id uuid,
    xact xid8 NOT NULL);
CREATE INDEX proof_event_xact ON proof_event (xact, subject);

CREATE FUNCTION proof_note_transition() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE run uuid; kind text := TG_ARGV[0];
BEGIN
  IF TG_OP = 'UPDATE' AND OLD.state = NEW.state THEN RETURN NULL; END IF;
  IF kind = 'run' THEN run := NEW.id; ELSE run := NEW.run_id; END IF;
  INSERT INTO proof_transition (kind, subject, run_id, old, new, xact, at) VALUES (
    kind, NEW.id, run, CASE WHEN TG_OP = 'UPDATE' THEN OLD.state END, NEW.state,
    pg_current_xact_id(), clock_timestamp());
  RETURN NULL;
END $$;
CREATE TRIGGER proof_run AFTER INSERT OR UPDATE OF state ON runs_run
  FOR EACH ROW EXECUTE FUNCTION proof_note_transition('run');
CREATE TRIGGER proof_step AFTER INSERT OR UPDATE OF state ON runs_step
  FOR EACH ROW EXECUTE FUNCTION proof_note_transition('step');
CREATE TRIGGER proof_approval AFTER INSERT OR UPDATE OF state ON approvals_approval
  FOR EACH ROW EXECUTE FUNCTION proof_note_transition('approval');

CREATE FUNCTION proof_note_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO proof_event (event, kind, subject, run_id, xact)
  VALUES (NEW.id, NEW.kind, NEW.subject_id, NEW.run_id, pg_current_xact_id());
  RETURN NULL;
END $$;
CREATE TRIGGER proof_event AFTER INSERT ON audit_event
  FOR EACH ROW EXECUTE FUNCTION proof_note_event();
"""


def install() -> None:
    """Let the plant's database keep these ledgers from now on."""
    with connection.cursor() as cursor:
        cursor.execute(SQL)
