"""Lock step: the same statements at two sides, many in one write, every message compared.

Each statement runs in a transaction of its own that is rolled back, so that nothing it did is seen by the next. A side
is a connection to a private database, to the proxy, or to a database that a rewritten text is run on.
"""

from __future__ import annotations

import re
import struct
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from tests.equivalence.compare import Seen, observe
from tests.kit.rawclient import Exchange, RawClient

REFUSALS = frozenset({"0A000", "42501"})
CLOCKS = frozenset({"57014", "53200", "53400", "54001"})  # a limit of time or space, which another plan may not meet
OWN = ("21", "22", "23")  # classes of errors that a row causes
BUGS = frozenset({"XX000", "08P01", "08006", "57P01", "58000"})
VERDICTS = ("equal", "unplaced", "refused", "own", "plan", "clock", "different", "bug")
TIMEOUT = "SET statement_timeout = 8000"
BATCH = 16


@dataclass(frozen=True, slots=True)
class Ask:
    """One statement as messages. parameters: (type OID or 0, value)."""

    text: str
    parameters: tuple[tuple[int, str | None], ...] = ()
    extended: bool = False
    ordered: bool = False
    binary: bool = False

    @property
    def types(self) -> tuple[int, ...]:
        return tuple(oid for oid, _ in self.parameters)

    @property
    def messages(self) -> bytes:
        query = self.text.encode() + b"\0"
        if not self.extended:
            return message(b"Q", query)
        types, values = self.types, [value for _, value in self.parameters]
        bind = b"\0\0" + struct.pack("!hh", 0, len(values))
        for value in values:
            bind += struct.pack("!i", -1) if value is None else struct.pack("!i", len(value.encode())) + value.encode()
        bind += struct.pack("!hh", 1, 1) if self.binary else struct.pack("!h", 0)
        parts = [
            (b"P", b"\0" + query + struct.pack(f"!h{len(types)}i", len(types), *types)),
            (b"D", b"S\0"),
            (b"B", bind),
        ]
        parts += [(b"D", b"P\0"), (b"E", b"\0\0\0\0\0"), (b"S", b"")]
        return b"".join(message(tag, body) for tag, body in parts)


def message(tag: bytes, body: bytes) -> bytes:
    return tag + struct.pack("!i", len(body) + 4) + body


_BEGIN, _ROLLBACK = message(b"Q", b"BEGIN\0"), message(b"Q", b"ROLLBACK\0")


class Side:
    """A connection that is opened anew when it was lost."""

    def __init__(self, connect: Callable[[], RawClient], prepare: Sequence[str] = (TIMEOUT,)) -> None:
        self._connect = connect
        self._prepare = prepare
        self.lost = 0
        self._open()

    def _open(self) -> None:
        self.client = self._connect()
        for one in self._prepare:
            exchange = self.client.simple(one)
            assert not exchange.errors, (one, exchange.errors)

    def send(self, asks: Sequence[Ask]) -> None:
        """All in one write: a batch is small enough for the buffers between, or nothing would move."""
        self.client.socket.sendall(b"".join(_BEGIN + one.messages + _ROLLBACK for one in asks))

    def collect(self, asks: Sequence[Ask]) -> list[Exchange]:
        """The answers to what was sent. Where the connection was lost the rest of the batch is sent again."""
        answers: list[Exchange] = []
        for at, _ in enumerate(asks):
            self.client.collect()
            answers.append(self.client.collect())
            ended = self.client.collect()
            if ended.closed:
                self.lost += 1
                answers[-1].closed = True
                self._open()
                rest = asks[at + 1 :]
                self.send(rest)
                return answers + self.collect(rest)
        return answers

    def ask(self, one: Ask) -> Exchange:
        self.send([one])
        return self.collect([one])[0]

    def close(self) -> None:
        self.client.close()


@dataclass(frozen=True, slots=True)
class Outcome:
    """verdict: equal; unplaced (an error without its position); refused; clock (a limit was met); own (an error that
    own rows alone decide, and the order of evaluation); plan (one that another plan decides); different; bug.
    """

    at: int
    ask: Ask
    verdict: str
    expected: list[Seen]
    seen: list[Seen]
    reason: str = ""


@dataclass(slots=True)
class Tally:
    """What came of a run, and what it covered. productions: how many statements used each."""

    verdicts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    productions: Counter[str] = field(default_factory=Counter)
    ran: int = 0
    touched: int = 0
    loud: int = 0
    lost: int = 0
    tracebacks: int = 0

    def add(self, outcome: Outcome) -> None:
        self.verdicts[outcome.verdict] += 1
        if outcome.verdict == "refused":
            self.reasons[outcome.reason] += 1
        if not any(one[0] == "E" for one in outcome.expected):
            self.ran += 1
            self.touched += touches(outcome.expected)

    def join(self, other: Tally) -> None:
        """Adds what another process has counted."""
        for name in ("verdicts", "reasons", "productions"):
            getattr(self, name).update(getattr(other, name))
        for name in ("ran", "touched", "loud", "lost", "tracebacks"):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    @property
    def total(self) -> int:
        return sum(self.verdicts.values())

    @property
    def failed(self) -> bool:
        return any((self.verdicts["different"], self.verdicts["bug"], self.lost, self.tracebacks))

    def report(self) -> str:
        """As people read it."""
        total = max(1, self.total)
        least = sorted(self.productions.items(), key=lambda one: one[1])
        lines = [
            f"statements                       {self.total}",
            f"run without error (private)      {self.ran / total:.1%}",
            f"... that return or change a row  {self.touched / max(1, self.ran):.1%}",
            f"may throw outside target lists   {self.loud / total:.1%}",
            *(f"verdict {name:24} {self.verdicts[name]}" for name in VERDICTS),
            f"lost connections                 {self.lost}",
            f"exceptions of the proxy          {self.tracebacks}",
            "refused, by reason:",
            *(f"  {count:6} {count / total:6.2%} {reason}" for reason, count in self.reasons.most_common(25)),
            f"productions                      {len(self.productions)}",
            *(f"  {count:6} {name}" for name, count in least[:12]),
        ]
        return "\n".join(lines)


def touches(seen: Sequence[Seen]) -> bool:
    """True where a row was returned or changed."""
    tags = [bytes(one[1]) for one in seen if one[0] == "C" and isinstance(one[1], bytes)]
    return any(int(tag.rstrip(b"\0").split()[-1]) > 0 for tag in tags if tag.rstrip(b"\0")[-1:].isdigit())


def error_of(seen: Sequence[Seen]) -> tuple[str, str]:
    """SQLSTATE and message of the first error, or two empty strings."""
    return next(((str(one[2]), str(one[3])) for one in seen if one[0] == "E"), ("", ""))


Explain = Callable[[Ask, list[Seen]], str]


def compare(
    asks: Iterable[tuple[int, Ask]], private: Side, proxied: Side, explain: Explain | None = None
) -> Iterator[Outcome]:
    """The outcome of each statement, in order. explain(ask, seen): the verdict where one side failed on a row and the
    other did not, or with another error.
    """
    waiting: list[tuple[int, Ask]] = []
    for one in asks:
        waiting.append(one)
        if len(waiting) == BATCH:
            yield from _batch(waiting, private, proxied, explain)
            waiting = []
    yield from _batch(waiting, private, proxied, explain)


def _batch(batch: list[tuple[int, Ask]], private: Side, proxied: Side, explain: Explain | None) -> Iterator[Outcome]:
    asks = [ask for _, ask in batch]
    proxied.send(asks)
    private.send(asks)
    wanted, got = private.collect(asks), proxied.collect(asks)
    for (at, ask), one, other in zip(batch, wanted, got, strict=True):
        expected, seen = (observe(exchange, ordered=ask.ordered) for exchange in (one, other))
        verdict, reason = judge(expected, seen)
        states = {error_of(expected)[0], error_of(seen)[0]} - {""}
        if verdict == "different" and explain is not None and states and all(one[:2] in OWN for one in states):
            verdict = "own" if _same_error(expected, seen) else explain(ask, seen)
        yield Outcome(at, ask, verdict, expected, seen, reason)


def _same_error(expected: list[Seen], seen: list[Seen]) -> bool:
    """One error on two rows: which row is met first is the order of own rows, unless the row is another's."""
    one, other = error_of(expected), error_of(seen)
    return one[0] == other[0] and "globex" not in other[1]


def _unplaced(one: Seen) -> Seen:
    """An error without its position, which the proxy gives only where it is certain."""
    return (*one[:-1], "") if one[0] == "E" else one


def judge(expected: list[Seen], seen: list[Seen]) -> tuple[str, str]:
    """The verdict over two answers, and what a refusal said."""
    state, message = error_of(seen)
    if state in BUGS or seen[-1:] == [("closed",)]:
        return "bug", message
    if expected == seen:
        return "equal", ""
    if [_unplaced(one) for one in expected] == seen:
        return "unplaced", ""
    if state in CLOCKS or error_of(expected)[0] in CLOCKS:
        return "clock", ""
    if state in REFUSALS and error_of(expected)[0] != state:
        return "refused", re.sub(r'"[^"]*"', '"…"', message)
    return "different", ""
