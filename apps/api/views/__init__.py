"""Doors: health and catch-up for machines, the pages of the system and of the audit log. The log
lies on the lowest floor, below the people who may read it, so its pages stand up here."""
