"""Names, addresses and texts of nobody, made from bytes: the same bytes always give the same.

Promises: nothing of the value that the bytes stand for is in them; e-mail addresses are of example.com, which takes no
mail (RFC 2606, RFC 7505), and telephone numbers of a country code that nobody has. An e-mail address has 64 of the
bits, so that two values do not get one; the others repeat. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

SHORTEST_EMAIL = 28  # characters: 16 of the bits, and @example.com


def _words(*lines: str) -> tuple[str, ...]:
    return tuple(word for line in lines for word in line.split())


FIRST = _words(
    "Ada Aino Alba Amir Anna Arlo Aya Bela Bram Carl Cleo Dana Dora Eda Eino Elif Emil Enzo Eva Finn Gina Goran Hana",
    "Hugo Ida Ines Ivan Ivo Jana Joel Jun Kaya Kira Lara Leon Lina Luca Maja Marek Mina Milo Nadia Nils Nora Olga Omar",
    "Otto Pia Rana Remy Rosa Sami Sara Sven Tara Theo Uma Vera Viktor Wim Yara Yusuf Zoe Zora",
)
LAST = _words(
    "Abbot Alder Amsel Archer Baker Banks Bauer Berg Birch Bloom Brandt Brook Carter Chen Cole Cruz Dahl Diaz Dupont",
    "Ekman Falk Farkas Fischer Fontaine Garcia Gruber Haas Hansen Hill Holm Horvat Ito Jansen Kaya Keller Klein Kovacs",
    "Lang Lehto Lind Lopez Marin Meyer Moreau Nagy Novak Olsen Park Petit Popov Quist Reyes Rossi Santos Sato Silva",
    "Stone Tanaka Toth Vogel Weber Wolf Wood Zeman",
)
STREETS = _words("Oak Elm Mill Park Lake Hill Church School Station Garden River Bridge Market North South Spring")
CITIES = _words(
    "Ashford Bellmere Brookton Cedarville Dunmore Eastwick Fairhaven Glenrock Harborview Kingsbury Lakemont Maplewood",
    "Northgate Oakdale Riverton Westbrook",
)
KINDS_OF_COMPANY = _words("Ltd GmbH Inc SA")
WORDS = _words(
    "lorem ipsum dolor sit amet consectetur adipiscing elit sed do eiusmod tempor incididunt ut labore et dolore magna",
    "aliqua enim minim veniam quis nostrud exercitation ullamco laboris nisi aliquip ex ea commodo",
)


def _one(of: Sequence[str], number: int) -> str:
    return of[number % len(of)]


def _name(bits: bytes, _: int) -> str:
    return f"{_one(FIRST, bits[0])} {_one(LAST, bits[1])}"


def _email(bits: bytes, _: int) -> str:
    return f"{_one(FIRST, bits[0])}.{_one(LAST, bits[1])}.{bits[8:16].hex()}@example.com".lower()


def _phone(bits: bytes, _: int) -> str:
    return f"+999{int.from_bytes(bits[:8], 'big') % 10**9:09}"


def _street(bits: bytes, _: int) -> str:
    return f"{1 + bits[0] % 199} {_one(STREETS, bits[1])} Street"


def _company(bits: bytes, _: int) -> str:
    return f"{_one(LAST, bits[0])} & {_one(LAST, bits[1])} {_one(KINDS_OF_COMPANY, bits[2])}"


def _text(bits: bytes, length: int) -> str:
    words: list[str] = []
    size, number = -1, int.from_bytes(bits, "big")
    while size < length:
        words.append(_one(WORDS, number >> 5 * (len(words) % 48)))
        size += len(words[-1]) + 1
    return " ".join(words)[:length].strip()


FAKES: Mapping[str, Callable[[bytes, int], str]] = {
    "name": _name,
    "first_name": lambda bits, _: _one(FIRST, bits[0]),
    "last_name": lambda bits, _: _one(LAST, bits[1]),
    "email": _email,
    "phone": _phone,
    "street": _street,
    "city": lambda bits, _: _one(CITIES, bits[0]),
    "postcode": lambda bits, _: f"{int.from_bytes(bits[:4], 'big') % 10**5:05}",
    "company": _company,
    "text": _text,
}


def fake(kind: str, bits: bytes, length: int, limit: int | None = None) -> str:
    """One of FAKES. bits: 32 bytes. length: of the value that it stands for, which a text keeps. limit: characters that
    the column takes; an e-mail address that is longer is its bits alone.
    """
    made = FAKES[kind](bits, length)
    if limit is None or len(made) <= limit:
        return made
    return f"{bits[8:16].hex()}@example.com"[:limit] if kind == "email" else made[:limit].rstrip()
