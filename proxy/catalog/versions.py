"""Versions: the numbers that pictures of databases are known by. None is given twice in one process.

Plans are kept, and planner processes know pictures, by what a database is called and by this number. A database that
is closed and opened again is called the same, so its numbers must not begin anew: a plan of the old picture could be
taken for one of the new. Says nothing about what is in a picture.
"""

from __future__ import annotations

from itertools import count

_numbers = count(1)


def next_version() -> int:
    """One that no picture has, greater than all before."""
    return next(_numbers)
