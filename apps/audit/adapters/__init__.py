"""What stands outside the database: the file of checkpoints, where they are shipped, who stamps
them."""
