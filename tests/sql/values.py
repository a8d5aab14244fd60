"""Values of every type that the no-throw tables speak of, as literals: extremes first, then drawn ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from random import Random

INNER = {"int4range": "int4", "int8range": "int8", "daterange": "date", "tsrange": "timestamp"}
INNER["tstzrange"] = "timestamptz"
INTEGERS = {"int2": 15, "int4": 31, "int8": 63}
ODD = ["", " ", "a", "\\", "%_\\%", "ß", "İi̇ıI", "ﬀ", "Σσς", "é", "e\u0301", "\U0001f9d1\u200d\U0001f4bb", "\u202eabc",
       "\u0001\ufffe", "\U0010ffff", "x" * 3000, "Ǆ" * 700, "'\"{},()[]", "NULL", "\n\t\r"]  # fmt: skip
DATES = [
    "-infinity",
    "infinity",
    "4714-11-24 BC",
    "0001-12-31 BC",
    "0001-01-01",
    "1969-12-31",
    "2000-02-29",
    "9999-12-31",
]
FIXED: dict[str, list[str]] = {
    "float4": ["NaN", "-Infinity", "Infinity", "-0", "0", "1e-45", "3.4028235e38", "-3.4028235e38", "16777217"],
    "float8": ["NaN", "-Infinity", "Infinity", "-0", "0", "5e-324", "1.7976931348623157e308", "9007199254740993"],
    "numeric": ["NaN", "-Infinity", "Infinity", "0", "0.0000", "1e-1000", "9" * 400, "-1e5000", "1e131071", "1e-16383"],
    "text": ODD,
    "date": [*DATES, "5874897-12-31"],
    "timestamp": [*DATES, "294276-12-31 23:59:59.999999", "2024-03-31 02:30:00"],
    "timestamptz": [*DATES, "294276-12-31 23:59:59.999999+00", "4714-11-24 00:00:00+00 BC", "2024-03-31 02:30+01"],
    "time": ["00:00", "24:00:00", "23:59:59.999999", "12:00:60"],
    "timetz": ["00:00+15:59", "24:00:00-15:59", "23:59:59.999999+00", "12:00 -15:59:59"],
    "interval": ["0", "-178000000 years", "178000000 years", "2147483647 days -2147483647 months",
                 "2562047788:00:54.775807", "-1 month 30 days", "1 mon -30 days"],
    "bool": ["t", "f"],
    "uuid": ["0" * 32, "f" * 32],
    "bytea": ["", "\\x00", "\\x" + "ff" * 3000, "\\x61"],
    "inet": ["0.0.0.0/0", "255.255.255.255", "1.2.3.4/0", "::/0", "::ffff:1.2.3.4", "ffff:" * 7 + "ffff/128", "::1/0"],
    "cidr": ["0.0.0.0/0", "255.255.255.255/32", "10.0.0.0/8", "::/0", "2001:db8::/32", "::1/128"],
    "macaddr": ["00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff"],
    "oid": ["0", "4294967295", "2147483648"],
    "jsonb": ["null", "true", "{}", "[]", '""', "0", "-0.0", "1e300", "9" * 300, '{"a":null}', '{"":{"":[]}}',
              '{"a":{"b":[1,"x",null]},"b":1}', "[" * 1000 + "]" * 1000, '{"a":' * 800 + "1" + "}" * 800,
              '["a","b",["a"]]', '"' + "ß" * 900 + '"'],
    "tsvector": ["", "a", "a:1 b:2A c:3", "'it''s':1", "a:16383", "b", "ß:1,2,3 x:4D"],
    "tsquery": ["a", "!a", "a & b", "a | !b", "a <-> b", "a <16384> b", "!(a & b) | c:*A", "'x y'", "!!!a"],
}  # fmt: skip


def drawn(kind: str, dice: Random) -> Iterator[str]:
    """Literals of a scalar type without end."""
    n, pick, real = dice.randrange, dice.choice, dice.uniform
    draw: dict[str, Callable[[], str]] = {
        "float4": lambda: repr(real(-1, 1) * 10.0 ** n(-30, 30)),
        "float8": lambda: repr(real(-1, 1) * 10.0 ** n(-300, 300)),
        "numeric": lambda: f"{pick(('', '-'))}{n(10 ** n(1, 40))}.{n(10**9)}",
        "text": lambda: "".join(pick("aAbBßéİ 𝒳\\%_") for _ in range(n(12))),
        "date": lambda: f"{n(1, 4000):04}-{n(1, 13)}-{n(1, 29)}{pick(('', ' BC'))}",
        "timestamp": lambda: f"{n(1, 4000):04}-1-{n(1, 29)} {n(24)}:{n(60)}",
        "timestamptz": lambda: f"{n(1, 4000):04}-7-1 {n(24)}:00{n(-15, 16):+03}:30",
        "time": lambda: f"{n(24)}:{n(60)}:{real(0, 59):f}",
        "timetz": lambda: f"{n(24)}:{n(60)}{n(-15, 16):+03}:{n(60):02}",
        "interval": lambda: f"{n(-9999, 9999)} months {n(-(10**6), 10**6)} days {n(-(10**9), 10**9)} s",
        "bool": lambda: pick("tf"),
        "uuid": lambda: f"{dice.getrandbits(128):032x}",
        "bytea": lambda: "\\x" + dice.randbytes(n(20)).hex(),
        "inet": lambda: f"10.{n(256)}.0.{n(256)}/{n(33)}",
        "cidr": lambda: f"2001:{dice.getrandbits(16):x}::/{n(32, 129)}",
        "macaddr": lambda: dice.randbytes(6).hex(":"),
        "oid": lambda: str(dice.getrandbits(32)),
        "jsonb": lambda: f'{{"a":[{n(9)},{{"b":"{pick("abß")}"}}],"{pick("abc")}":{pick(("null", "1.50", "[]"))}}}',
        "tsvector": lambda: " ".join(f"{pick('abcxyz')}:{n(1, 16384)}{pick('ABCD')}" for _ in range(n(5))),
        "tsquery": lambda: f"!{pick('abc')}{pick((':*', ':AB', ''))} {pick(('&', '|', '<2>'))} {pick('axy')}",
        "anyenum": lambda: pick(LABELS),
    }
    while True:
        yield draw[kind]()


LABELS = ["a", "", "ß", "Z" * 63]


def scalars(kind: str, count: int, seed: int) -> list[str | None]:
    """This many literals of a scalar type, NULL and the extremes among them."""
    dice = Random(f"{kind} {seed}")
    if kind in INTEGERS:
        limit = 2 ** INTEGERS[kind]
        some = [str(one) for one in (-limit, limit - 1, 0, 1, -1)]
        more: Iterator[str] = iter(lambda: str(dice.randrange(-limit, limit) >> dice.randrange(INTEGERS[kind])), "")
    elif kind.endswith("range"):
        some, more, count = ["empty", "(,)"], _ranges(kind, dice), 3 * count  # half of them end before they begin
    else:
        of = "text" if kind in ("varchar", "name", "bpchar") else kind
        some, more = [*FIXED.get(of, LABELS)], drawn(of, dice)
    return [None, *some, *islice(more, max(0, count - 1 - len(some)))][: max(count, len(some) + 1)]


def _ranges(kind: str, dice: Random) -> Iterator[str]:
    """Ranges of drawn bounds, each end open, closed or absent."""
    bounds = [f'"{one}"' for one in scalars(INNER[kind], 40, 0) if one is not None]
    while True:
        low, high = dice.choice((*bounds, "")), dice.choice((*bounds, ""))
        yield f"{dice.choice('[(')}{low},{high}{dice.choice('])')}"


def arrays(elements: list[str | None], count: int, seed: int) -> list[str | None]:
    """Arrays of these elements: empty, with NULLs, of two dimensions, with bounds of their own."""
    dice = Random(f"array {seed}")
    some: list[str | None] = [None, "{}", "{NULL}", "{NULL,NULL}", "[5:6]={NULL,NULL}"]
    while len(some) < count:
        chosen = [_element(one) for one in dice.choices(elements, k=dice.randrange(1, 6))]
        flat = "{" + ",".join(chosen) + "}"
        some.append(dice.choice((flat, flat, "{" + flat + "," + flat + "}", f"[-3:{len(chosen) - 4}]={flat}")))
    return some


def _element(one: str | None) -> str:
    return "NULL" if one is None else '"' + one.replace("\\", "\\\\").replace('"', '\\"') + '"'
