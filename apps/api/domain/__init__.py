"""What the doors decide, without a database."""
