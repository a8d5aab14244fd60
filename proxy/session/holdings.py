"""What one session may make the proxy keep: prepared statements, portals, replies that are due, too large a message.

A flood is refused or made to wait, never buffered. What is kept is estimated as it grows, and counted exactly before
anything is refused, so that the common way costs an addition.
"""

from __future__ import annotations

from proxy.errors import ProgramLimitExceeded, Refusal
from proxy.session import encode
from proxy.session.conversation import Conversation, Phase
from proxy.sql.plan import StatementKind
from proxy.wire.streams import MESSAGE_LIMIT, Oversize

PIPELINE = 8192  # replies due at most before the client is not read any further
STATEMENT = 8192  # bytes of a statement besides its texts: its plan, above all
PORTAL = 1024  # bytes of a portal here and at the server, besides what Bind said
SPARING = 1_048_576  # bytes of the largest message while the process is short of memory
SLACK = 262_144  # bytes of a Parse besides its text: a name, and 65,535 types


class ConfigurationLimitExceeded(Refusal):
    """The session keeps too much."""

    sqlstate = "53400"


def room(s: Conversation, size: int) -> Refusal | None:
    """Why the session may not keep `size` bytes more; None when it may, and they are counted."""
    s.kept += size
    limit = s.limits.session_memory
    if s.kept <= limit:
        return None
    s.kept = kept(s) + size
    if s.kept <= limit:
        return None
    s.kept -= size
    return ConfigurationLimitExceeded(
        "too many prepared statements and portals",
        detail=f"They may take {limit} bytes in one session.",
        hint="Close those that are not needed any more, by DEALLOCATE for example, or have session_memory raised.",
    )


def kept(s: Conversation) -> int:
    """Bytes that the session's named statements and portals are counted as."""
    statements = sum(size_of(name, one.text) for name, one in s.statements.items() if name)
    return statements + sum(PORTAL + len(name) + one.size for name, one in s.portals.items() if name)


def size_of(name: bytes, text: bytes) -> int:
    """Bytes that a statement is counted as: its text is kept twice, as it came and as it is sent."""
    return STATEMENT + len(name) + 2 * len(text)


def deep(s: Conversation) -> bool:
    """Is the pipeline as deep as it may be? Then the server is made to send what it has, for it may wait for more."""
    if len(s.due) < PIPELINE:
        return False
    if s.open:
        s.up.append(encode.FLUSH)
    return True


def spare(s: Conversation, short: bool) -> None:
    """The process is short of memory, or is not any more: until then no large message is taken from who is inside."""
    if s.phase is Phase.READY:
        s.frontend.limit = SPARING if short else MESSAGE_LIMIT


def oversize(s: Conversation, tag: int, body: Oversize) -> None:
    """Refuses a message whose body was not even kept."""
    limit = s.frontend.limit if tag in b"BF" else s.limits.statement_size
    refusal = ProgramLimitExceeded(
        f"{'message' if tag in b'BF' else 'statement'} is too large: {body.length} bytes, the limit is {limit}",
        hint="Send it in smaller parts" + (", use COPY, or have statement_size raised." if tag in b"QP" else "."),
    )
    if tag in b"PB" and s.skipping:
        return
    s.audit(s.own_refusal(StatementKind.OTHER, refusal), b"", "")
    if tag in b"QF":
        s.refuse_query(refusal)
    else:
        s.refuse_extended(refusal)
