"""doctor: looks at a live database and at the running proxy for what would break the promise."""
