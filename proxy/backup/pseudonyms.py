"""Values in the place of others, by a key: the same value always becomes the same, and nobody without the key can tell
which it was by trying.

Promises: a pseudonym has the type of the value, and where the type has room two values never get one. NULL is no
value, and what says how large a number or date is stays: its digits, its sign, its year. The key is bound to the
tenant, so that one tenant's pseudonyms say nothing about another's. Pure. Sources: RFC 7914 (scrypt); RFC 7693
(BLAKE2b with a key); M. Luby, C. Rackoff, "How to construct pseudorandom permutations" (1988); J. Black, P. Rogaway,
"Ciphers with arbitrary finite domains" (2002), for walking along a cycle.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime, timedelta
from hashlib import blake2b, scrypt
from math import isqrt
from uuid import UUID

ROUNDS = 8
COST, BLOCKS, LANES = 1 << 15, 8, 3  # of scrypt, 32 MiB: a third of a second for who has the key, and for each guess
MOST_DIGITS = 300  # of a number; what one round can mix is 512 bits
HEX = 32  # digits of a text's pseudonym, where they fit
NUMBER = re.compile(r"(-?)([0-9]+)(?:\.([0-9]+))?(e[-+][0-9]+)?")


class Pseudonyms:
    """Those of one tenant. key: any bytes, 16 or more; they are stretched, because some will be a phrase."""

    def __init__(self, key: bytes, tenant: str) -> None:
        salt = b"partywall mask " + tenant.encode()
        self._key = scrypt(key, salt=salt, n=COST, r=BLOCKS, p=LANES, maxmem=64 << 20, dklen=64)
        # Each keyed already: to copy one is half the cost of making it.
        self._turns = [blake2b(key=self._key, person=b"round %d" % turn) for turn in range(ROUNDS)]

    def digest(self, value: str) -> bytes:
        """32 bytes that stand for a value."""
        return blake2b(value.encode(), key=self._key, digest_size=32, person=b"value").digest()

    def permuted(self, value: int, low: int, high: int, fits: Callable[[int], bool] = lambda _: True) -> int:
        """Another number from `low` to below `high`, or the same; each is reached from one. fits: which numbers there
        are at all; value is one."""
        side = isqrt(high - low - 1) + 1  # two halves of so many numbers each are enough, and hardly too many
        size = (side.bit_length() + 7) // 8
        found = value
        while True:
            left, right = divmod(found - low, side)
            for turn in self._turns:
                mixed = turn.copy()
                mixed.update(right.to_bytes(size, "big"))
                left, right = right, (left + int.from_bytes(mixed.digest(), "big")) % side
            found = low + left * side + right
            if found < high and fits(found):
                return found

    def text(self, value: str, limit: int | None = None) -> str:
        """Hexadecimal digits, as many as a column takes."""
        return self.digest(value).hex()[: HEX if limit is None else min(HEX, limit)]

    def uuid(self, value: str) -> str:
        """One of version 4."""
        return str(UUID(bytes=self.digest(value)[:16], version=4))

    def binary(self, value: str) -> str:
        """16 bytes, as PostgreSQL writes them in hex."""
        return rf"\x{self.digest(value)[:16].hex()}"

    def number(self, value: str, below: int | None = None) -> str:
        """A number of as many digits, of the same sign; 0, NaN and infinity stay. below: of integers, one more than the
        greatest. ValueError for one with more than MOST_DIGITS.
        """
        found = NUMBER.fullmatch(value)
        if found is None:
            return value
        sign, whole, fraction, exponent = found[1], found[2], found[3] or "", found[4] or ""
        if len(whole) + len(fraction) > MOST_DIGITS:
            raise ValueError(f"a number has more than {MOST_DIGITS} digits")
        kept = fraction.rstrip("0")  # 1.5 and 1.50 are equal, and stay so
        digits = int(whole + kept)
        if not digits:
            return value
        low = 10 ** (len(str(digits)) - 1)
        high = low * 10 if below is None else min(low * 10, below + (sign == "-"))
        other = self.permuted(digits, low, high, (lambda one: one % 10 != 0) if kept else lambda _: True)
        shown = str(other).zfill(len(kept) + 1)
        point = len(shown) - len(kept)
        rest = shown[point:] + "0" * (len(fraction) - len(kept))
        return sign + shown[:point] + (f".{rest}" if fraction else "") + exponent

    def date(self, value: str) -> str:
        """Another day of the same year; infinity stays. ValueError before the year 1 and after 9999."""
        if value.endswith("infinity"):
            return value
        day = date.fromisoformat(value)
        first = day.replace(month=1, day=1).toordinal()
        days = 365 + (day.year % 4 == 0 and (day.year % 100 != 0 or day.year % 400 == 0))
        return date.fromordinal(self.permuted(day.toordinal(), first, first + days)).isoformat()

    def moment(self, value: str, precision: int = 6) -> str:
        """Another moment of the same year in UTC; infinity stays. precision: digits of seconds that the column has.
        ValueError as for `date`."""
        if value.endswith("infinity"):
            return value
        zone = "+00" if value.endswith("+00") else ""
        at = datetime.fromisoformat(value.removesuffix("+00"))
        begin = datetime(at.year, 1, 1)  # noqa: DTZ001 -- what the server wrote is UTC, or has no zone
        days = 365 + (at.year % 4 == 0 and (at.year % 100 != 0 or at.year % 400 == 0))
        unit = timedelta(microseconds=10 ** (6 - precision))
        other = self.permuted((at - begin) // unit, 0, timedelta(days=days) // unit)
        return (begin + other * unit).isoformat(" ") + zone
