"""What stands between the server and Django."""
