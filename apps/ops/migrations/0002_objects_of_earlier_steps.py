"""What was recorded before. In pieces of their own transactions, so that the tower may run beside
it; begun again it goes on, since what is there is left alone."""

from django.db import migrations

PIECE = 5_000
STEPS = """
WITH piece AS (SELECT id, run_id, kind, effect, arguments, preview, created_at FROM runs_step
  WHERE %(after)s::uuid IS NULL OR id > %(after)s ORDER BY id LIMIT %(piece)s),
noted AS (INSERT INTO ops_objectreference (key, value, field, run_id, step_id, effect, at)
  SELECT o.key, o.value, o.field, s.run_id, s.id, s.effect, s.created_at
  FROM piece s, ops_objects_of(s.arguments, s.preview) o WHERE s.kind = 'tool'
  ON CONFLICT DO NOTHING)
SELECT id FROM piece ORDER BY id DESC LIMIT 1
"""
RUNS = """
WITH piece AS (SELECT id, customer, created_at FROM runs_run
  WHERE %(after)s::uuid IS NULL OR id > %(after)s ORDER BY id LIMIT %(piece)s),
noted AS (INSERT INTO ops_objectreference (key, value, field, run_id, step_id, effect, at)
  SELECT ops_object_key(customer), customer, 'customer', id, id, '', created_at
  FROM piece WHERE length(ops_object_key(customer)) > 1
  ON CONFLICT DO NOTHING)
SELECT id FROM piece ORDER BY id DESC LIMIT 1
"""


# First the place in the log, so that what happens meanwhile is heard by whoever starts next.
PLACE = """
INSERT INTO audit_subscription (name, position) SELECT 'ops.objects', coalesce(max(position), 0)
FROM audit_event ON CONFLICT (name) DO NOTHING
"""


def fill(apps, schema_editor):
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(PLACE)
    for statement in (STEPS, RUNS):
        after, more = None, True
        while more:
            with schema_editor.connection.cursor() as cursor:
                cursor.execute(statement, {"after": after, "piece": PIECE})
                found = cursor.fetchone()
            more = found is not None
            after = found[0] if found else after


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("ops", "0001_objects"), ("audit", "0010_requests")]
    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
