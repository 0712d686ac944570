"""What happens around calls: hiding what a contract hides."""
