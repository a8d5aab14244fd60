"""SASLprep of passwords, as PostgreSQL does it: what cannot be prepared is taken as the bytes it is.

Source: RFC 4013 over RFC 3454, and src/common/saslprep.c for the fall-back: a password that is not UTF-8, holds a
prohibited or unassigned character, breaks the rules of writing direction, or is empty afterwards stays as it was.
"""

from __future__ import annotations

import stringprep as tables
from unicodedata import normalize

_PROHIBITED = (
    tables.in_table_c12, tables.in_table_c21_c22, tables.in_table_c3, tables.in_table_c4, tables.in_table_c5,
    tables.in_table_c6, tables.in_table_c7, tables.in_table_c8, tables.in_table_c9, tables.in_table_a1,
)  # fmt: skip


def saslprep(password: bytes) -> bytes:
    """The prepared password; ASCII comes back as it is."""
    if password.isascii():  # PostgreSQL's own short way: also for control characters
        return password
    try:
        text = password.decode()
    except UnicodeDecodeError:
        return password
    mapped = "".join(" " if tables.in_table_c12(c) else c for c in text if not tables.in_table_b1(c))
    prepared = normalize("NFKC", mapped)
    if not prepared or any(prohibits(c) for c in prepared for prohibits in _PROHIBITED):
        return password
    if any(tables.in_table_d1(c) for c in prepared):  # right to left: no left to right, and at both ends
        ends = tables.in_table_d1(prepared[0]) and tables.in_table_d1(prepared[-1])
        if not ends or any(tables.in_table_d2(c) for c in prepared):
            return password
    return prepared.encode()
