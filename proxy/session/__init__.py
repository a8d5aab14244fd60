"""One client conversation, sans-IO: bytes and events in, bytes and actions out. Knows no socket, loop, clock or log."""
