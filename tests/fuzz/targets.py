"""What is fuzzed: each target is one function of bytes that returns when all is well and raises when something is not.

A Refusal is a decision and all is well; any other exception, and any promise broken that an assert states, is a find.
The first bytes steer, so that a fuzzer can learn how to cut.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress

from proxy.auth.scram import ScramClient, ScramServer, build_verifier, parse_verifier
from proxy.backend.state import BackendState
from proxy.errors import Refusal
from proxy.session.actions import LeaseBackend
from proxy.session.events import BackendLeased, BackendLost, CancelFinished, CancelRequested, FrontendLost
from proxy.session.session import ClientSession
from proxy.sql.lift import MARK, lift, lift_like, pieces_of
from proxy.sql.parse import masked
from proxy.sql.plan import Planned, Reject, StatementKind
from proxy.wire.backend import decode_backend
from proxy.wire.copyformat import CopyFormat
from proxy.wire.framing import FULL, LOGIN
from proxy.wire.frontend import decode_frontend
from proxy.wire.startup import decode_startup
from proxy.wire.streams import BackendStream, FrontendStream
from tests.session.conftest import REPORTED, Door, Lease, Link, log_in

Target = Callable[[bytes], None]
NONCE, OTHER = b"nonce-of-the-fuzzer-00001", b"another-nonce-of-the-fuzzer"
VERIFIER = parse_verifier(build_verifier("pencil", b"salt of a fuzzer", 1))


def cut(data: bytes) -> Iterator[bytes]:
    """The pieces of the rest: the first byte says how long each is; 0: all at once."""
    if data:
        step = data[0] or len(data)
        for at in range(1, len(data), step):
            yield data[at : at + step]


def frontend_story(pieces: Iterator[bytes], texts: int | None) -> list[object]:
    """What a FrontendStream makes of these."""
    stream, story = FrontendStream(), list[object]()
    stream.texts = texts
    try:
        for piece in pieces:
            stream.feed(piece)
            while (one := stream.message()) is not None:
                story.append((one[0], bytes(one[1]), getattr(one[1], "length", None)))
    except Refusal as refusal:
        story.append(refusal.message)
    return story


def backend_story(pieces: Iterator[bytes], table: bytes) -> tuple[bytes, list[tuple[int, bytes]], str]:
    """What a BackendStream makes of these: what is relayed, what is watched, how it ended."""
    stream, relayed, watched = BackendStream(table), b"", []
    try:
        for piece in pieces:
            run, marks = stream.feed(piece)
            relayed += run
            watched += [(tag, run[start + 5 : end]) for tag, start, end in marks]
    except Refusal as refusal:
        return b"", [], refusal.message  # how much was relayed before depends on the pieces
    return relayed, watched, ""


def codec(data: bytes) -> None:
    """Bytes of either side: the same story however they are cut; what decodes encodes to itself."""
    rest = data[1:]
    for texts in (None, 20):
        assert frontend_story(cut(data), texts) == frontend_story(iter([rest]), texts)
    for table in (FULL, LOGIN):
        assert backend_story(cut(data), table) == backend_story(iter([rest]), table)
    with suppress(Refusal):
        packet = decode_startup(rest)
        assert decode_startup(packet.encode()[4:]) == packet
    if rest:
        for decode in (decode_frontend, decode_backend):
            with suppress(Refusal):
                message = decode(rest[0], rest[1:])
                again = message.encode()
                assert decode(again[0], again[5:]) == message


def scram(data: bytes) -> None:
    """Messages of an exchange in both roles, apart by NUL: nobody is let in who has not proved anything."""
    parts = data.split(b"\0")
    server = ScramServer(VERIFIER, NONCE)
    client = ScramClient("pencil", OTHER)
    for first in parts:
        with suppress(Refusal):
            server.first(first)
            break
    for last in parts:
        with suppress(Refusal):
            assert server.final(last) is None, "let in without a proof"
    for challenge in parts:
        with suppress(Refusal):
            client.final(challenge)
            break
    for outcome in parts:
        with suppress(Refusal):
            client.verify(outcome)
            raise AssertionError("believed without a proof")
    with suppress(ValueError):
        text = data.decode()
        assert parse_verifier(text).text() == text


def lifter(data: bytes) -> None:
    """A text: its shape and its literals make the text again, and a text like it has the same shape."""
    lifted = lift(data, limited=False)
    if lifted is not None:
        assert len(lifted.literals) == len(lifted.offsets) == len(lifted.kinds)
        for literal, offset in zip(lifted.literals, lifted.offsets, strict=True):
            assert data[offset : offset + len(literal)] == literal
        if b"\x01" not in data:
            whole = b""
            literals = iter(lifted.literals)
            at = 0
            for mark in MARK.finditer(lifted.shape):
                whole += lifted.shape[at : mark.start()] + next(literals)
                at = mark.end()
            assert whole + lifted.shape[at:] == data
        pieces = pieces_of(data, lifted)
        if pieces is not None:
            assert lift_like(data, pieces) == lifted.literals
            other = data
            for literal, offset in zip(lifted.literals, lifted.offsets, strict=True):
                digits = bytes(0x39 if one == 0x38 else 0x38 for one in literal)
                other = other[:offset] + digits + other[offset + len(literal) :]
            alike = lift_like(other, pieces)
            fresh = lift(other, limited=False)
            assert alike is None or (fresh is not None and (fresh.shape, fresh.literals) == (lifted.shape, alike))
    assert isinstance(masked(data, 2048), str)


FORMATS = (
    CopyFormat(),
    CopyFormat(delimiter=b",", markers=(b"", b"D"), header="skip"),
    CopyFormat("csv", b",", markers=(b"",)),
    CopyFormat("csv", b";", b"'", b"^", header="match", end_marker=False),
    CopyFormat("binary"),
)


def rows(data: bytes) -> None:
    """Rows of COPY in every format: the same however they are cut, and each byte of the client's once."""
    for form in FORMATS:
        told = []
        for pieces in (cut(data), iter([data[1:]])):
            scanner = form.rows("7", "int4", "tenant", 3)
            sent = b""
            try:
                for piece in pieces:
                    sent += scanner.feed(piece)
                sent += scanner.end()
            except Refusal as refusal:
                sent = refusal.message.encode()  # how much went before depends on the pieces
            told.append(sent)
        assert told[0] == told[1], form


class Strict(Door):
    """A Door that refuses what is no text, as the planner does before anything else."""

    def lookup(self, text: bytes, parameter_types: tuple[int, ...] = (), extended: bool = False) -> Planned | None:
        try:
            text.decode()
        except UnicodeDecodeError:
            return Planned((Reject(StatementKind.OTHER, "22021", "invalid byte sequence"),))
        return super().lookup(text, parameter_types, extended)


def session(data: bytes) -> None:
    """A client and a server that say anything: no exception, each lease ends once, and none is left behind."""
    door = Strict(free=[])
    lent: list[Link] = []
    one = ClientSession(door, process_id=42, secret_key=b"key!", clock=lambda: 0.0)
    log_in(one, door)
    at = 0
    while at + 1 < len(data):
        what, size = data[at], data[at + 1]
        chunk = data[at + 2 : at + 2 + size]
        at += 2 + size
        if what % 8 < 4:
            if chunk:
                one.data(chunk)
        elif what % 8 < 7:
            if one.lease is not None and chunk:
                one.backend_data(chunk)
        elif size % 4 == 0:
            one.handle(BackendLost("gone"))
        elif size % 4 == 1:
            one.handle(CancelRequested())
        elif size % 4 == 2:
            one.handle(CancelFinished())
        for asked in door.asked(LeaseBackend):
            lent.append(Link(BackendState(7, b"four", dict(REPORTED))))
            one.handle(BackendLeased(asked.ticket, Lease(lent[-1])))
        door.free.clear()
    one.handle(FrontendLost())
    assert one.lease is None
    assert [id(connection) for connection, _, _ in door.released] == [id(connection) for connection in lent]


TARGETS: dict[str, Target] = {"codec": codec, "scram": scram, "lifter": lifter, "rows": rows, "session": session}
