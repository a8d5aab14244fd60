"""Pipelines that mix every message, with errors anywhere: each message of the answer is that of a private database.

A pipeline is drawn from a seed, sent in one write (or cut where the seed says so) to a pristine private database and
through the proxy, and compared message by message. It writes, commits and fails like an application of bad manners.
Of the first 6000 seeds three differ (610, 734, 5891), all in a failed transaction: the unnamed statement, which must be
parsed anew there, is answered 25P02, and a portal that a refused DEALLOCATE would have left is not there.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest

import pytest

from tests.equivalence.compare import Seen, observe
from tests.equivalence.lockstep import judge, message
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.rawclient import Exchange, RawClient
from tests.kit.sample import pristine

SEEDS = 600
PER_CONNECTION = 25
MARK = b"the end of it"

# Text, types of its parameters, values in text, and in binary where they have such a form.
STATEMENTS: tuple[tuple[str, tuple[int, ...], tuple[bytes | None, ...], tuple[bytes | None, ...] | None], ...] = (
    ("SELECT id, note FROM orders WHERE id > $1 ORDER BY id", (23,), (b"15",), (b"\0\0\0\x0f",)),
    ("SELECT id, amount FROM orders ORDER BY id", (), (), ()),
    ("SELECT $1 || 'x', $2", (25, 20), (b"a", None), (b"a", b"\0" * 8)),
    ("SELECT 1 / $1", (23,), (b"0",), (b"\0\0\0\0",)),
    ("SELECT id / (id - 3) FROM orders ORDER BY id", (), (), ()),
    ("SELECT nothing FROM orders", (), (), ()),
    ("SELECT * FROM nothing", (), (), ()),
    ("SELEC 1", (), (), ()),
    ("BEGIN", (), (), ()),
    ("COMMIT", (), (), ()),
    ("ROLLBACK", (), (), ()),
    ("SAVEPOINT s", (), (), ()),
    ("ROLLBACK TO s", (), (), ()),
    ("UPDATE orders SET note = $1 WHERE id = 4 RETURNING id, note", (25,), (b"new",), (b"new",)),
    ("INSERT INTO customers (id, name) VALUES ($1, 'pipe') RETURNING id", (23,), (b"7001",), (b"\0\0\x1b\x59",)),
    ("DELETE FROM customers WHERE id > 7000", (), (), ()),
    ("INSERT INTO customers (id, name) VALUES (7002, 'one'), (7002, 'again')", (), (), ()),
    ("SET work_mem = '5MB'", (), (), ()),
    ("SET timezone = 'Asia/Tokyo'", (), (), ()),
    ("SET nothing.at_all = 1", (), (), ()),
    ("SHOW timezone", (), (), ()),
    ("RESET timezone", (), (), ()),
    ("DECLARE c CURSOR FOR SELECT id FROM orders ORDER BY id", (), (), ()),
    ("FETCH 2 FROM c", (), (), ()),
    ("SELECT '12'::int + $1", (0,), (b"5",), None),
    ("SELECT $1::int", (), (b"no number",), None),
    ("VALUES (1, 'a'), (2, 'b'), (3, 'c')", (), (), ()),
    ("COPY (SELECT id FROM orders ORDER BY id LIMIT 3) TO STDOUT", (), (), ()),
    ("COPY customers (id, name) FROM STDIN", (), (), ()),
)
QUERIES = (
    "SELECT 1; SELECT 2", "", ";", "BEGIN; SELECT 1 / 0; SELECT 2", "ROLLBACK", "COMMIT", "SELECT 1; SELEC 2; SELECT 3",
    "UPDATE orders SET note = note WHERE id = 2; SELECT count(*) FROM orders", "DEALLOCATE s1", "CLOSE c",
    "SELECT 1 / 0", "BEGIN; INSERT INTO customers (id, name) VALUES (7005, 'q'); COMMIT; SELECT 1 / 0",
    "COPY (VALUES (1), (2)) TO STDOUT; SELECT 1", "PREPARE s9 AS SELECT 7", "EXECUTE s9", "DEALLOCATE s9",
    "DISCARD PLANS",
)  # fmt: skip
COPY_DATA = (b"7010\tten\n", b"7011\t\\N\n", b"no number\tx\n", b"7012\n", b"70", b"13\tcut\n", b"\\.\n")


@dataclass
class Dice:
    """Draws one pipeline. `copying`: rows may be expected, so that only what may come then is drawn."""

    random: random.Random

    def pipeline(self) -> list[bytes]:
        parts: list[bytes] = []
        for _ in range(self.random.randint(2, 14)):
            parts += self.random.choices((self.unit, self.stray, self.query, self.copy), weights=(10, 4, 3, 2), k=1)[
                0
            ]()
        return parts

    def name(self) -> bytes:
        return self.random.choice((b"", b"", b"", b"s1", b"s2"))

    def portal(self) -> bytes:
        return self.random.choice((b"", b"", b"", b"p1", b"p2"))

    def unit(self) -> list[bytes]:
        """Parse, Bind, Describe, Execute, some of them left out, doubled or wrong, and perhaps Sync."""
        pick = self.random
        text, types, plain, binary = pick.choice(STATEMENTS[:-1])
        name, portal = self.name(), self.portal()
        coded = binary is not None and pick.random() < 0.3
        values = binary if coded and binary is not None else plain
        if pick.random() < 0.05:
            values = (*values, b"1")
        parts = [
            message(b"P", name + b"\0" + text.encode() + b"\0" + struct.pack(f"!h{len(types)}i", len(types), *types)),
            self.bind(portal, name, values, coded),
            message(b"D", b"P" + portal + b"\0"),
            self.execute(portal),
        ]
        if pick.random() < 0.3:
            parts.insert(1, message(b"D", b"S" + name + b"\0"))
        if pick.random() < 0.2:
            parts.append(self.execute(portal))
        parts = [one for one in parts if pick.random() > 0.06]
        if pick.random() < 0.2:
            parts.append(message(pick.choice((b"C",)), pick.choice((b"S" + name, b"P" + portal)) + b"\0"))
        if pick.random() < 0.1:
            parts.append(message(b"H", b""))
        if pick.random() < 0.6:
            parts.append(message(b"S", b""))
        return parts

    def bind(self, portal: bytes, name: bytes, values: tuple[bytes | None, ...], coded: bool) -> bytes:
        forms = struct.pack("!hh", 1, 1) if coded else b"\0\0"
        if self.random.random() < 0.03:
            forms = struct.pack("!hhhh", 3, 0, 0, 0)
        given = b"".join(struct.pack("!i", -1) if v is None else struct.pack("!i", len(v)) + v for v in values)
        results = self.random.choice((b"\0\0", b"\0\0", struct.pack("!hh", 1, 1)))
        return message(b"B", portal + b"\0" + name + b"\0" + forms + struct.pack("!h", len(values)) + given + results)

    def execute(self, portal: bytes) -> bytes:
        return message(b"E", portal + b"\0" + struct.pack("!i", self.random.choice((0, 0, 0, 1, 2, 100))))

    def stray(self) -> list[bytes]:
        pick = self.random
        return [
            pick.choice(
                (
                    message(b"S", b""), message(b"H", b""), message(b"D", b"S" + self.name() + b"\0"),
                    message(b"D", b"P" + self.portal() + b"\0"), message(b"C", b"S" + self.name() + b"\0"),
                    message(b"C", b"P" + self.portal() + b"\0"), self.execute(self.portal()),
                    self.bind(self.portal(), self.name(), (), False), message(b"c", b""), message(b"f", b"why not\0"),
                    message(b"d", b"1\tstray\n"),
                )
            )
        ]  # fmt: skip

    def query(self) -> list[bytes]:
        return [message(b"Q", self.random.choice(QUERIES).encode() + b"\0")]

    def copy(self) -> list[bytes]:
        """COPY from the client, good, wrong, given up, or with a Sync that comes too early."""
        pick = self.random
        data = [message(b"d", one) for one in pick.choices(COPY_DATA, k=pick.randint(0, 4))]
        end = [message(b"f", b"enough\0")] if pick.random() < 0.3 else [message(b"c", b"")]
        if pick.random() < 0.5:
            return [message(b"Q", b"COPY customers (id, name) FROM STDIN\0"), *data, *end]
        text = STATEMENTS[-1][0].encode()
        early = [message(b"S", b"")] if pick.random() < 0.3 else []
        begin = [message(b"P", b"\0" + text + b"\0\0\0"), self.bind(b"", b"", (), False), message(b"E", b"\0" * 5)]
        return [*begin, *early, *data, *end, message(b"S", b"")]


END = [
    message(b"S", b""), message(b"Q", b"ROLLBACK\0"), message(b"Q", b"DEALLOCATE ALL; RESET ALL\0"),
    message(b"Q", b"DELETE FROM customers WHERE id > 7000\0"), message(b"Q", b"SELECT '" + MARK + b"'\0"),
]  # fmt: skip


def answered(client: RawClient, parts: list[bytes]) -> Exchange:
    """Everything up to the mark, or to the end of the connection."""
    client.socket.sendall(b"".join([*parts, *END]))
    whole = Exchange()
    marked = False
    while (one := client.receive()) is not None:
        whole.messages.append(one)
        marked = marked or (one.tag == "D" and MARK in one.body)
        if marked and one.tag == "Z":
            return whole
    whole.closed = True
    return whole


@pytest.fixture(scope="module")
def sides(shared_server: Cluster) -> Iterator[tuple[Cluster, str, Proxy]]:
    """A private database and a shared one behind the proxy, both of these tests alone."""
    with (
        pristine(shared_server, "private1") as private,
        pristine(shared_server) as shared,
        running_proxy(shared_server.port, shared) as proxy,
    ):
        yield shared_server, private, proxy


def words(parts: list[bytes]) -> str:
    return "\n".join(f"  {one[:1].decode()} {one[5:]!r}" for one in parts)


@pytest.mark.parametrize("start", range(0, SEEDS, PER_CONNECTION))
def test_any_pipeline_is_answered_as_by_a_database_of_ones_own(sides: tuple[Cluster, str, Proxy], start: int) -> None:
    cluster, database, proxy = sides

    def connect() -> tuple[RawClient, RawClient]:
        return RawClient("127.0.0.1", cluster.port, "app", database), proxy.connect("acme_app")

    private, proxied = connect()
    for seed in range(start, start + PER_CONNECTION):
        parts = Dice(random.Random(seed)).pipeline()
        expected, seen = (observe(answered(one, parts), ordered=True) for one in (private, proxied))
        expected = [settled(*both) for both in zip_longest(expected, seen, fillvalue=("none",))]
        verdict = "equal" if expected == seen else judge(expected, seen)[0]
        assert verdict in {"equal", "unplaced"} or ended_alike(expected, seen), (
            f"seed {seed}: {verdict}\n{words(parts)}\n"
            + "\n".join(f"{'=' if a == b else '!'} {a}\n  {b}" for a, b in zip_longest(expected, seen))
        )
        if seen[-1:] == [("closed",)]:
            private.close()
            proxied.close()
            private, proxied = connect()
    private.close()
    proxied.close()


def settled(one: Seen, other: Seen) -> Seen:
    """A Parse under a name that is taken, of a statement that has another fault: which of the two is told differs, and
    both go on alike.
    """
    return other if one[0] == other[0] == "E" and "42P05" in (one[2], other[2]) else one


def ended_alike(expected: list[Seen], seen: list[Seen]) -> bool:
    """Both broke off, over the same message; PostgreSQL has two words for that, ERROR and FATAL."""
    ends = [at for at, one in enumerate(seen) if one[0] == "E" and one[2] == "08P01"]
    if ("closed",) not in expected or ("closed",) not in seen or not ends:
        return False
    at = ends[-1]
    return expected[:at] == seen[:at] and expected[at][0] == "E" and expected[at][2:4] == seen[at][2:4]
