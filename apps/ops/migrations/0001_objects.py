"""Which things steps and runs name, noted when the events of the step or the run are delivered.

An id is the text or number of an argument whose name says so (`order_id`, `reservationId`,
`flight_number`, `item_ids` …), of a customer, or of a thing that a preview says would change
(`/reservations/Q69X3R/…`). The functions take whatever JSON there may be: none of them raises.
"""

from django.db import migrations, models

NAMES = r"(^|[_.:-])(ids?|uuid|reference|locator)$|[a-z0-9](Ids?|Uuid|Reference|Locator)$|^(order|reservation|flight|ticket|booking|invoice|case|item|product|shipment|contract|policy|claim)[_.:-]?([nN]umbers?|[nN]o)$"
SQL = f"""
CREATE FUNCTION ops_object_key(value text) RETURNS text
  LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT left(lower(ltrim(btrim(value), '#')), 120)
$$;
CREATE FUNCTION ops_objects_of(arguments jsonb, preview jsonb)
  RETURNS TABLE (key text, value text, field text) LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT DISTINCT ON (ops_object_key(named.value))
      ops_object_key(named.value), left(named.value, 120), left(named.field, 80)
    FROM (
      SELECT 0 AS place, pair->>'key' AS field, one #>> '{{}}' AS value
      FROM jsonb_path_query(arguments, CASE WHEN pg_column_size(arguments) > 65536
          THEN 'strict $ ? (@.type() == "object").keyvalue()'
          ELSE 'strict $.**{{0 to 4}} ? (@.type() == "object").keyvalue()' END::jsonpath) AS pair,
        jsonb_path_query(pair->'value', 'lax $[*]') AS one
      WHERE pair->>'key' ~ '{NAMES}' AND jsonb_typeof(one) IN ('string', 'number')
      UNION ALL
      SELECT 1, split_part(change->>'path', '/', 2),
        replace(replace(split_part(change->>'path', '/', 3), '~1', '/'), '~0', '~')
      FROM jsonb_path_query(coalesce(preview->'changes', '[]'), 'lax $[*]') AS change
      WHERE jsonb_typeof(change->'path') = 'string'
    ) AS named
    WHERE length(named.value) BETWEEN 2 AND 120 AND length(ops_object_key(named.value)) > 1
    ORDER BY ops_object_key(named.value), named.place, named.field
    LIMIT 24
$$;
CREATE FUNCTION ops_note_steps(ids uuid[]) RETURNS void LANGUAGE sql AS $$
  INSERT INTO ops_objectreference (key, value, field, run_id, step_id, effect, at)
  SELECT o.key, o.value, o.field, s.run_id, s.id, s.effect, s.created_at
  FROM runs_step s, ops_objects_of(s.arguments, s.preview) o
  WHERE s.id = ANY(ids) AND s.kind = 'tool'
  ON CONFLICT DO NOTHING
$$;
CREATE FUNCTION ops_note_runs(ids uuid[]) RETURNS void LANGUAGE sql AS $$
  INSERT INTO ops_objectreference (key, value, field, run_id, step_id, effect, at)
  SELECT ops_object_key(r.customer), r.customer, 'customer', r.id, r.id, '', r.created_at
  FROM runs_run r WHERE r.id = ANY(ids) AND length(ops_object_key(r.customer)) > 1
  ON CONFLICT DO NOTHING;
  SELECT ops_note_steps(ARRAY(SELECT id FROM runs_step WHERE run_id = ANY(ids)))
$$;
"""
UNDO = """
DROP FUNCTION ops_note_runs(uuid[]);
DROP FUNCTION ops_note_steps(uuid[]);
DROP FUNCTION ops_objects_of(jsonb, jsonb);
DROP FUNCTION ops_object_key(text);
"""


class Migration(migrations.Migration):
    initial = True
    dependencies = [("runs", "0025_receipts_are_only_added_to")]
    operations = [
        migrations.CreateModel(
            name="ObjectReference",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("key", models.CharField(max_length=120)),
                ("value", models.CharField(max_length=120)),
                ("field", models.CharField(max_length=80)),
                ("run_id", models.UUIDField()),
                ("step_id", models.UUIDField()),
                ("effect", models.CharField(blank=True, max_length=12)),
                ("at", models.DateTimeField()),
            ],
            options={
                "indexes": [models.Index(fields=["key", "-at", "-id"], name="ops_objectreference_key")],
                "constraints": [models.UniqueConstraint(fields=("run_id", "step_id", "key"), name="ops_objectreference_once")],
            },
        ),
        migrations.RunSQL(SQL, UNDO),
    ]
