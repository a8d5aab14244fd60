"""Server connections: who has which, who waits, and how they are cleaned between owners."""
