"""The operator's door: health and metrics over HTTP."""
