"""Pages about people and their sessions."""
