"""Several processes: planners beside the event loop. Nothing here knows clients or sockets to PostgreSQL."""
