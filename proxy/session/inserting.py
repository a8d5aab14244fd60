"""COPY FROM STDIN as INSERTs: the rows of one COPY on their way, in batches of parameters, in one transaction.

The statement is prepared without a name; a batch is Bind and Execute, and no Sync comes before the end: so the server
keeps it all in the transaction that the COPY is part of, and an error undoes all of it. The client sees what a COPY
tells: CopyInResponse once the server has taken the statement, errors with the line, one tag with the count. Memory is
constant: a batch, and a few that the server has not answered yet; then the client is not read. Pure. Decision 0078.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from dataclasses import replace

from proxy.backend.state import BackendState
from proxy.errors import Refusal
from proxy.session import encode
from proxy.session.blocks import recover
from proxy.session.conversation import Conversation, Waiting
from proxy.session.dropped import drop_until_sync
from proxy.session.due import LOAD, SYNC, Due
from proxy.sql.admission import output, parameters_refused
from proxy.sql.copied import CopyIn, Insertion
from proxy.sql.insertion import APART
from proxy.sql.plan import Forward
from proxy.sql.restored import with_detail
from proxy.wire.backend import CopyInResponse
from proxy.wire.copyfields import DEFAULT, BadCopy, Line, cut
from proxy.wire.fields import message

MOST_PARAMETERS = 65_535
MOST_ROWS = 128
BATCH = 65_536  # bytes of values
FIRST = 16  # rows that go one by one, so that it is certain which of them an error is about
PIECE = 16_384  # bytes that are read at a time: rows of few bytes take many times their size
IN_FLIGHT = 8  # batches that the server has not answered
LARGEST_ROW = 64 * 1_048_576  # bytes; each is held whole
PARAMETER = re.compile(r"unnamed portal parameter \$(\d+)(?: = .*)?")
NULL = b"\xff\xff\xff\xff"  # a length of -1
UNREADABLE = re.compile(r"(incorrect binary data format) in bind parameter (\d+)")
READ_ONLY, NOT_NULL = "25006", "23502"


class Inserting:
    """due: what the client waits for. simple: it came as a Query. count: rows that went in."""

    __slots__ = (
        "_at", "_batch", "_first", "_form", "_head", "_keys", "_parts", "_prepared", "_rest", "_size", "_tail",
        "_width", "begun", "copy", "count", "due", "ended", "failure", "flight", "insert", "reader", "simple",
    )  # fmt: skip
    mine = True  # it is the session that takes the rows

    def __init__(self, due: Due, copy: CopyIn, insert: Insertion, text: bytes, keys: Mapping[str, str], simple: bool):
        assert copy.format is not None
        self.due = due
        self.copy = copy
        self.insert = insert
        self.simple = simple
        self.reader = copy.format.reader(insert.shape, LARGEST_ROW)
        self.count = 0
        self.begun = self.ended = False
        self.failure: dict[str, str] | None = None  # what the client is told when the server fails as it is made to
        self.flight: deque[list[Line]] = deque()
        self._form = b"\0\1\0\1" if copy.format.name == "binary" else b"\0\0"
        self._head, *self._parts, self._tail = text.split(APART)
        self._keys = keys
        self._width = copy.fields
        self._prepared = 1  # rows of the statement that is prepared
        self._batch: list[Line] = []
        self._size = 0
        self._rest, self._at = b"", 0  # what was received and not read yet
        self._first = FIRST  # rows that still go one by one

    @property
    def most(self) -> int:
        """Rows of a batch."""
        return min(MOST_ROWS, MOST_PARAMETERS // self._width)

    def statement(self, rows: int, defaults: frozenset[int] = frozenset()) -> bytes:
        """Parse of an INSERT of so many rows, with DEFAULT for these fields."""
        parts, order = self._parts, self.insert.order
        every = []
        for first in range(1, rows * self._width + 1, self._width):
            row = [parts[0]]
            for field, part in zip(order, parts[1:], strict=True):
                row += (b"DEFAULT" if field in defaults else b"$%d" % (first + field), part)
            every.append(b"".join(row))
        text = self._head + b", ".join(every) + self._tail
        return encode.parse(b"", text, self.insert.types * rows)

    # -- from the client

    def take(self, s: Conversation, body: bytes) -> None:
        """CopyData, of which no more is read than the server keeps up with."""
        self._rest, self._at = body, 0
        self._proceed(s)

    def _proceed(self, s: Conversation) -> None:
        rest = self._rest
        while self._at < len(rest) and len(self.flight) < IN_FLIGHT and not self.ended:
            piece = rest[self._at : self._at + PIECE]
            self._at += PIECE
            self._add(s, self.reader.feed(piece))
        if self.ended:
            self._rest = b""
            return
        if self._at >= len(rest):
            self._rest, self._at = b"", 0
        if self._rest or len(self.flight) >= IN_FLIGHT:
            s.waiting = Waiting.COPY
        elif s.waiting is Waiting.COPY:
            s.waiting = Waiting.NOTHING

    def done(self, s: Conversation) -> None:
        """CopyDone: what is left goes, and the answer comes with the last reply."""
        self._add(s, self.reader.end())
        if self.ended:
            return
        self._flush(s)
        self._end(s)
        if not self.flight:
            s.out.append(self._complete(s))

    def fail(self, s: Conversation, text: str) -> None:
        """CopyFail."""
        context = f"COPY {self.copy.table}, line {self.reader.line + 1}"
        self.refuse(s, Refusal(f"COPY from stdin failed: {text}", sqlstate="57014"), context)

    def refuse(self, s: Conversation, refusal: Refusal, context: str = "") -> None:
        """The server is made to fail, so that nothing of it stays; the client reads this."""
        self.failure = encode.fields_of(encode.error(refusal, "ERROR")[5:])
        if context:
            self.failure["W"] = context
        s.up += (encode.FAIL_BIND, encode.FLUSH)
        self._end(s)

    def _end(self, s: Conversation) -> None:
        self.ended = True
        s.copying = None
        if s.waiting is Waiting.COPY:
            s.waiting = Waiting.NOTHING
        if self.simple:
            synchronize(s)

    def _add(self, s: Conversation, lines: list[Line]) -> None:
        checks = self.insert.checks
        for line in lines:
            row = line[1]
            if checks and self._foreign(s, line):
                return
            if self.insert.shape.default is not None and DEFAULT in row:
                if not self._alone(s, line):
                    return
                continue
            self._batch.append(line)
            self._size += sum([len(one) for one in row if isinstance(one, bytes)])
            if self._first or len(self._batch) >= self.most or self._size >= BATCH:
                self._flush(s)
        if self.reader.problem is not None:
            self._flush(s)  # an error in a row before it comes first
            self._bad(s, self.reader.problem)

    def _bad(self, s: Conversation, problem: BadCopy) -> None:
        self.refuse(s, problem, f"COPY {self.copy.table}, {problem.context}" if problem.context else "")

    def _foreign(self, s: Conversation, line: Line) -> bool:
        """Is it a row of somebody else? The server would say so; what is sent has the tenant's key, or NULL."""
        formats = (1,) if len(self._form) == 4 else ()
        values = [one if isinstance(one, bytes) else None for one in line[1]]
        for one in self.insert.checks if not formats else ():
            if isinstance(one.value, int) and (given := values[one.value - 1]) is not None:
                values[one.value - 1] = output(one.type, given.decode("utf-8", "replace"))
        refusal = parameters_refused(self.insert.checks, self._keys, self.insert.types, formats, values)
        if refusal is None:
            return False
        self._flush(s)
        s.audit(s.own_refusal(self.due.plan.kind, refusal), self.due.text, "")  # type: ignore[union-attr]  # a COPY
        self.refuse(s, refusal, f"COPY {self.copy.table}, line {line[0]}")
        return True

    def _alone(self, s: Conversation, line: Line) -> bool:
        """A row with DEFAULT in it: a statement of its own. False: it cannot be."""
        self._flush(s)
        number, row = line
        fields = frozenset(at for at, one in enumerate(row) if one is DEFAULT)
        if not fields <= self.insert.lone:
            refusal = Refusal("DEFAULT is not supported here in COPY FROM", sqlstate="0A000")
            self.refuse(s, refusal, f"COPY {self.copy.table}, line {number}")
            return False
        s.up.append(self.statement(1, fields))
        self._prepared = 0
        self._run(s, [(number, [None if one is DEFAULT else one for one in row])])
        return True

    def _flush(self, s: Conversation) -> None:
        """The batch goes to the server."""
        batch = self._batch
        if not batch:
            return
        if len(batch) != self._prepared:
            s.up.append(self.statement(len(batch)))
            self._prepared = len(batch)
        self._batch, self._size = [], 0
        self._first = max(0, self._first - 1)
        self._run(s, batch)

    def _run(self, s: Conversation, batch: list[Line]) -> None:
        values = [
            len(one).to_bytes(4, "big") + one if isinstance(one, bytes) else NULL for _, row in batch for one in row
        ]
        count = (len(batch) * self._width).to_bytes(2, "big")
        s.up += (
            message(66, b"\0\0%b%b%b\0\0" % (self._form, count, b"".join(values))),
            message(69, b"\0\0\0\0\0"),
            encode.FLUSH,
        )
        self.flight.append(batch)

    # -- from the server

    def parsed(self, s: Conversation) -> bytes:
        """ParseComplete: the first says that the COPY may begin."""
        if self.begun:
            return b""
        self.begun = True
        s.waiting = Waiting.NOTHING
        s.copying = self
        form = 1 if len(self._form) == 4 else 0
        return CopyInResponse(form, (form,) * self._width).encode()

    def completed(self, s: Conversation, tag: str) -> bytes:
        """CommandComplete of a batch; the COPY's own, where it was the last."""
        self.count += int(tag.rpartition(" ")[2])
        self.flight.popleft()
        if not self.ended:
            self._proceed(s)
        return self._complete(s) if self.ended and self.failure is None and not self.flight else b""

    def _complete(self, s: Conversation) -> bytes:
        s.due.popleft()
        plan, state = self.due.plan, s.backend()
        assert plan is not None
        recover(state, plan.effects)
        s.leave_traces(plan)
        return encode.complete(f"COPY {self.count}")

    def failed(self, s: Conversation, fields: dict[str, str]) -> bytes:
        """ErrorResponse: what the client is told of it."""
        if self.failure is not None and fields.get("C") in {"26000", "25P02"}:
            return encode.report(69, self.failure)
        fields.pop("P", None)
        if fields.get("C") == READ_ONLY:
            fields["M"] = fields.get("M", "").replace("INSERT", "COPY FROM")
        fields = s.port.answer(fields, self.due.plan, self.due.text)
        place, kept = "", []
        found = UNREADABLE.fullmatch(fields.get("M", ""))
        if found is not None:
            fields["M"], place = found[1], self._place(int(found[2]) - 1)
        for line in fields.pop("W", "").split("\n"):
            found = PARAMETER.fullmatch(line)
            if found is None:
                kept += [line] if line else []
            else:
                place = self._place(int(found[1]) - 1)
        nested = bool(kept)
        place = place or self._row(fields)
        if (
            not nested
            and self.insert.restore is not None
            and self.flight
            and len(self.flight[0]) == 1
            and len(self._form) == 2
        ):
            values = [one if isinstance(one, bytes) else None for one in self.flight[0][0][1]]
            fields = with_detail(fields, self.insert.restore, self._keys, (), values)
        kept += [place] if place else []
        if kept:
            fields["W"] = "\n".join(kept)
        return encode.report(69, fields)

    def _place(self, parameter: int) -> str:
        """Of a value that the server could not read."""
        row, field = divmod(parameter, self._width)
        if not self.flight or row >= len(self.flight[0]):
            return ""
        number, values = self.flight[0][row]
        place = f"COPY {self.copy.table}, line {number}, column {self.insert.shape.columns[field]}"
        value = values[field]
        if len(self._form) == 4:
            return place
        return f'{place}: "{cut(value)}"' if isinstance(value, bytes) else f"{place}: null input"

    def _row(self, fields: Mapping[str, str]) -> str:
        """Of a row that the server did not take, where it is certain which."""
        batch = self.flight[0] if self.flight else []
        columns = self.insert.shape.columns
        if len(batch) > 1 and fields.get("C") == NOT_NULL and fields.get("c") in columns:
            at = columns.index(fields["c"])
            batch = [one for one in batch if one[1][at] is None][:1]
        return f"COPY {self.copy.table}, line {batch[0][0]}" if len(batch) == 1 else ""


def synchronize(s: Conversation) -> None:
    """The end of a Query that went as messages of the extended protocol."""
    s.up.append(encode.SYNC)
    s.due.append(Due(SYNC))
    s.pipeline += 1
    s.open = s.skipping = False


def start(s: Conversation, plan: Forward, literals: tuple[bytes, ...], text: bytes, simple: bool) -> None:
    """The statement is prepared for one row; nothing more of the client's is read until the server has taken it."""
    copy = plan.copy
    assert isinstance(copy, CopyIn)
    assert copy.insert is not None
    assert s.grant is not None
    due = Due(LOAD, plan=plan, text=text)
    filled = s.port.fill(replace(plan, template=copy.insert.parts), literals, text)
    due.inserting = inserting = Inserting(due, copy, copy.insert, filled, s.grant.keys, simple)
    s.up += (inserting.statement(1), encode.FLUSH)
    s.backend().unnamed = None
    s.opened[b""] = s.pipeline
    s.due.append(due)
    s.open = True
    s.waiting = Waiting.COPY


# -- replies


def ended(s: Conversation, state: BackendState, fields: dict[str, str]) -> bytes:
    """ErrorResponse: the rows have failed, and with them what the client sent behind them."""
    load = of(s)
    reply = load.failed(s, fields)
    drop_until_sync(s, state)
    if load.simple and not load.ended:
        synchronize(s)
    load.ended = True
    if s.waiting is Waiting.COPY:
        s.waiting = Waiting.NOTHING
    return reply


def of(s: Conversation) -> Inserting:
    """The one at the head, whose replies come."""
    found = s.due[0].inserting
    assert found is not None
    return found


def parse_complete(s: Conversation, state: BackendState, run: bytes, start: int, end: int) -> bytes:
    """ParseComplete."""
    return of(s).parsed(s)


def bind_complete(s: Conversation, state: BackendState, run: bytes, start: int, end: int) -> bytes:
    """BindComplete."""
    return b""


def command_complete(s: Conversation, state: BackendState, run: bytes, start: int, end: int) -> bytes:
    """CommandComplete."""
    return of(s).completed(s, run[start + 5 : end - 1].decode("utf-8", "replace"))


REPLIES = {ord("1"): parse_complete, ord("2"): bind_complete, ord("C"): command_complete}
