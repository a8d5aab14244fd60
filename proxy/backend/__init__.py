"""What one server connection has and owes: pure values shared by session (which uses them) and pool (which keeps
them).
"""
