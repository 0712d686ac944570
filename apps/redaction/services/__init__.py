"""What hides values: opened, kept, shown."""

from apps.redaction.services.showing import show
from apps.redaction.services.storing import keep, opened, reseal

__all__ = ["keep", "opened", "reseal", "show"]
