"""Counting, and saying no: what a tenant may use of what all share. Time is an argument."""
