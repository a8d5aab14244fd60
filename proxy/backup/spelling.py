"""A tenant's key as the server prints it: 007 is 7 in a column of integers, and no UUID has capital letters.

Promises: two texts are spelt alike for a type just when they are one value of it to the server, of all types that a
tenant column can have. So an archive's rows are known as the tenant's however its rules write the key. Pure. Sources:
PostgreSQL documentation, chapter "Data Types"; sql.world.KEY_TYPES.
"""

from __future__ import annotations

from uuid import UUID

# Of numbers, bits without the sign; names as format_type gives them, and as pg_type does.
NUMBERS = {"smallint": 15, "integer": 31, "bigint": 63, "int2": 15, "int4": 31, "int8": 63}
BASES = {"0x": 16, "0o": 8, "0b": 2}  # PostgreSQL 16 and later read these
PADDED = ("character", "bpchar")


def spelt(value: str, kind: str) -> str:
    """kind: the column's type. char(n) comes without the spaces that fill it. What is no value of the type is left."""
    name = kind.partition("(")[0]
    try:
        if name in NUMBERS:
            return str(_number(value.strip()))
        if name == "uuid":
            return str(UUID(value))
    except ValueError:
        return value
    return value.rstrip(" ") if name in PADDED else value


def fits(value: str, kind: str) -> bool:
    """Is it a value of the type?"""
    try:
        if kind in NUMBERS:
            number = _number(value.strip())
            return -(1 << NUMBERS[kind]) <= number < 1 << NUMBERS[kind]
        return kind != "uuid" or bool(UUID(value))
    except ValueError:
        return False


def _number(text: str) -> int:
    digits = text.lstrip("+-")
    base = BASES.get(digits[:2].lower())
    if base is None:
        return int(text)
    return (-1 if text.startswith("-") else 1) * int(digits[2:], base)
