"""What the process says: its log and the audit trail."""
