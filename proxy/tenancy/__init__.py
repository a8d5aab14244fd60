"""Who may do what: rule files become a rule book."""
