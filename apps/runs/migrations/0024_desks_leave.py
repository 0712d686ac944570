"""Runs know nothing of desks any more. The table stays, with its rows: it is of whoever plays
practice cases, and a process of the release before writes it."""

from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [("runs", "0023_duties_stand_beside_the_log")]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[migrations.DeleteModel(name="Desk")]
        )
    ]
