from django.db import migrations

# What a run had done before it was cancelled can still be undone.
ALLOW = "INSERT INTO runs_transition (old, new) VALUES ('cancelled', 'compensating')"
FORBID = "DELETE FROM runs_transition WHERE old = 'cancelled' AND new = 'compensating'"


class Migration(migrations.Migration):
    dependencies = [("runs", "0007_breakers_by_host_and_stops")]
    operations = [migrations.RunSQL(ALLOW, FORBID)]
