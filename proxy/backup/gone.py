"""Which rows of a table in an archive are no more: one bit for each row, so that any number of them fits into memory.

Rows are numbered from 1 in the order of the table's members, which never changes. In an archive the numbers stand one a
line, in their order. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from proxy.backup.refusal import Damaged

LINES = 500_000  # numbers in a member, at most


class Gone:
    """A set of rows of one table."""

    def __init__(self, rows: int) -> None:
        """rows: how many the table has there."""
        self.rows = rows
        self._bits = bytearray(rows // 8 + 1)

    def add(self, number: int) -> None:
        """Damaged when there is no such row, or it is gone already."""
        if not 1 <= number <= self.rows or number in self:
            raise Damaged(f"row {number} of {self.rows} cannot be gone")
        self._bits[number >> 3] |= 1 << (number & 7)

    def __contains__(self, number: int) -> bool:
        return bool(self._bits[number >> 3] & 1 << (number & 7))

    def __len__(self) -> int:
        return int.from_bytes(self._bits, "little").bit_count()

    def count(self, first: int, after: int) -> int:
        """How many of the rows from `first` to the one before `after` are gone."""
        whole = int.from_bytes(self._bits[first >> 3 : (after >> 3) + 1], "little") >> (first & 7)
        return (whole & (1 << (after - first)) - 1).bit_count()

    def without(self, plain: bytes, first: int) -> bytes:
        """Rows of COPY text without those that are gone. first: the number of the first one."""
        *rows, _ = plain.split(b"\n")
        return b"".join(one + b"\n" for number, one in enumerate(rows, first) if number not in self)

    def texts(self) -> Iterator[bytes]:
        """The numbers as members have them."""
        held: list[str] = []
        for at, byte in enumerate(self._bits):
            if byte:
                held += [f"{8 * at + bit}\n" for bit in range(8) if byte & 1 << bit]
            if len(held) >= LINES:
                yield "".join(held).encode()
                held = []
        if held:
            yield "".join(held).encode()


def numbers(text: bytes) -> Iterable[int]:
    """What a member's text says. Damaged when it is none."""
    try:
        return [int(one) for one in text.split()]
    except ValueError:
        raise Damaged("a list of rows that are gone has something else in it") from None
