"""Small applications over the sample set whose statements are recorded; each takes a DSN."""
