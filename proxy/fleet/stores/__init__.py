"""Where processes share their counters: in memory, at a local socket, in Redis or Valkey."""
