"""A recorded session said again to a ClientSession, without sockets, in any pieces; the server is a script made of it.

The script knows for each text what the server answered to it, and answers whatever is asked upstream in whatever order:
what the session adds of its own (settings, statements prepared again) is answered as a server would. So the bytes that
the client hears may be compared between two ways of cutting the same session.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from proxy.session.session import ClientSession
from proxy.sql.copied import CopyIn, CopyOut
from proxy.sql.plan import Planned, StatementKind
from proxy.wire.copyformat import CopyFormat
from proxy.wire.fields import message
from tests.kit.builders import forward
from tests.kit.recorder import CLIENT, SERVER, Recording
from tests.session.conftest import Door, link, log_in

Cut = Callable[[str, int, bytes], list[bytes]]
"""(side, where these bytes begin in all that the side says, the bytes) -> the pieces they come in."""

READY, IDLE, BLOCK, FAILED = b"Z\0\0\0\5", b"I", b"T", b"E"
ENDS = {"P": b"1E", "B": b"2E", "C": b"3E", "D": b"TnE", "E": b"CsIEG", "S": b"Z", "Q": b"ZG"}


def messages(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Type and body of each message."""
    at = 0
    while at < len(data):
        end = at + 1 + int.from_bytes(data[at + 1 : at + 5], "big")
        yield chr(data[at]), data[at + 5 : end]
        at = end


def plain(text: bytes) -> bytes:
    """A text as the session may send it: statements apart by a semicolon and a line feed."""
    return b";".join(one.strip() for one in text.split(b";") if one.strip())


@dataclass
class Script:
    """What a server answers: by kind of message and text, in the order of the recording; the last again and again."""

    replies: dict[tuple[str, bytes], deque[bytes]] = field(default_factory=lambda: defaultdict(deque))
    statements: dict[bytes, bytes] = field(default_factory=dict)
    portals: dict[bytes, bytes] = field(default_factory=dict)
    status: bytes = IDLE
    skipping: bool = False
    copying: str = ""
    rest: bytes = b""
    held: bytes = b""  # until Sync, Flush or a Query, as a server's buffer does

    def learn(self, recording: Recording) -> None:
        """Takes the answers from a recording."""
        replies = deque(messages(recording.said(SERVER)))
        reader = Script()
        for tag, body in messages(recording.said(CLIENT)):
            if reader.skipping and tag != "S":
                continue
            copied = tag in "cf" and reader.copying
            if tag not in ENDS and not copied:
                continue
            ends = ENDS[reader.copying if copied else tag]
            reader.copying = ""
            found = b""
            while replies and ends:
                kind, reply = replies.popleft()
                found += message(ord(kind), reply)
                if kind.encode() in ends:
                    reader.copying = tag if kind == "G" else ""
                    reader.skipping = kind == "E" and tag not in "QS"
                    break
            if tag == "S":
                reader.skipping = False
                continue
            self.replies[reader._key(tag, body)].append(found)

    def _key(self, tag: str, body: bytes) -> tuple[str, bytes]:
        """What a reply is found under; notes what names mean."""
        parts = body.split(b"\0")
        match tag:
            case "Q":
                return "Q", plain(parts[0])
            case "P":
                self.statements[parts[0]] = plain(parts[1])
                return "P", plain(parts[1])
            case "B":
                text = self.portals[parts[0]] = self.statements.get(parts[1], b"")
                return "B", text
            case "D":
                names = self.statements if body[:1] == b"S" else self.portals
                return "D" + chr(body[0]), names.get(parts[0][1:], b"")
            case "E":
                return "E", self.portals.get(parts[0], b"")
            case _:
                return tag, b""

    def feed(self, data: bytes) -> bytes:
        """What the server says now."""
        self.rest += data
        said = b""
        while len(self.rest) >= 5 and len(self.rest) >= 1 + int.from_bytes(self.rest[1:5], "big"):
            end = 1 + int.from_bytes(self.rest[1:5], "big")
            tag, body = chr(self.rest[0]), self.rest[5:end]
            self.rest = self.rest[end:]
            self.held += self._answer(tag, body)
            if tag in "QSHcf" or self.copying:
                said += self.held
                self.held = b""
        return said

    def _answer(self, tag: str, body: bytes) -> bytes:
        if tag == "S":
            self.skipping = False
            return READY + self.status
        if tag in "Hd" or self.skipping:
            return b""
        if tag in "cf":
            kind, self.copying = self.copying, ""
            return self._settled(kind, self.replies[tag, b""].popleft())
        key = self._key(tag, body)
        known = self.replies.get(key)
        reply = self._own(tag, body) if not known else known.popleft() if len(known) > 1 else known[0]
        return self._settled(tag, reply, key[1])

    def _settled(self, tag: str, reply: bytes, text: bytes = b"") -> bytes:
        """Follows the transaction through what is answered; the state in it is the script's own."""
        whole = b""
        for kind, body in messages(reply):
            if kind == "C":
                word = body.split(b" ")[0].rstrip(b"\0")
                if word == b"BEGIN" or text.startswith(b"ROLLBACK TO"):
                    self.status = BLOCK
                elif word in {b"COMMIT", b"ROLLBACK"}:
                    self.status = IDLE
            elif kind == "E":
                self.status = IDLE if self.status == IDLE else FAILED
                self.skipping = tag != "Q"
            elif kind == "G":
                self.copying = tag
            whole += READY + self.status if kind == "Z" else message(ord(kind), body)
        return whole

    def _own(self, tag: str, body: bytes) -> bytes:
        """An answer to what no recording holds: what the session asks by itself."""
        failed = message(69, b"SERROR\0VERROR\0C26000\0Mno\0\0")
        if tag == "Q":
            words = [one.split(b" ")[0] for one in plain(body.rstrip(b"\0")).split(b";")]
            known = all(word in {b"SET", b"RESET", b"DISCARD", b"CLOSE"} for word in words)
            done = b"".join(message(67, word + b"\0") for word in words) if known else b""
            return (done or (failed if any(words) else message(73, b""))) + READY + self.status
        if tag == "B" and body.split(b"\0")[1] not in self.statements:
            return failed
        own = {"P": message(49, b""), "B": message(50, b""), "C": message(51, b""), "E": message(67, b"SELECT 0\0")}
        return own.get(tag) or (message(116, b"\0\0") if body[:1] == b"S" else b"") + message(110, b"")


@dataclass
class Copying(Door):
    """A Door whose planner knows COPY."""

    def lookup(self, text: bytes, parameter_types: tuple[int, ...] = (), extended: bool = False) -> Planned | None:
        begin = plain(text).upper()
        if not begin.startswith(b"COPY "):
            return super().lookup(text, parameter_types, extended)
        copy = CopyIn("notes", 2, CopyFormat()) if b" FROM STDIN" in begin else CopyOut()
        return Planned((replace(forward(text, kind=StatementKind.COPY), copy=copy),), shape=text.decode())


@dataclass(frozen=True)
class Heard:
    """What came of a replay: what the client was told, and what became of the session and of its connection."""

    told: bytes
    phase: str
    leased: bool
    destroyed: bool  # any of them; how often one is leased hangs on where a pipeline is cut


def whole(side: str, begin: int, data: bytes) -> list[bytes]:
    """No cut."""
    return [data]


def single(side: str, begin: int, data: bytes) -> list[bytes]:
    """One byte at a time."""
    return [data[at : at + 1] for at in range(len(data))]


def at(side: str, place: int) -> Cut:
    """Cut once, before that byte of that side's."""

    def cut(said: str, begin: int, data: bytes) -> list[bytes]:
        if said != side or not begin < place < begin + len(data):
            return [data]
        return [data[: place - begin], data[place - begin :]]

    return cut


def replay(recording: Recording, cut: Cut = whole) -> tuple[Heard, int]:
    """Says the client's part to a session that has logged in; what was heard, and how many bytes the server said."""
    door = Copying(free=[link()])
    (server,) = door.free
    session = ClientSession(door, process_id=42, secret_key=b"key!", clock=lambda: 0.0)
    log_in(session, door)
    door.take()
    server.written = b""
    script = Script()
    script.learn(recording)
    spoken = answered = 0
    for who, data in recording.chunks:
        if who != CLIENT:
            continue
        for piece in cut(CLIENT, spoken, data):
            session.data(piece)
            while server.written:
                asked, server.written = server.written, b""
                reply = script.feed(asked)
                for part in cut(SERVER, answered, reply) if reply else []:
                    session.backend_data(part)
                answered += len(reply)
        spoken += len(data)
    destroyed = any(destroyed for _, destroyed, _ in door.released)
    return Heard(door.written, session.phase.value, session.lease is not None, destroyed), answered
