"""Generated tables, and the scripts that generate them."""
