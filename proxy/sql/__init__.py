"""(text, policy, catalog) -> plan: pure functions; the only folder that knows pglast."""
