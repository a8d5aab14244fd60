"""What the server holds, read once and kept as a frozen value."""
