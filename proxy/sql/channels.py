"""LISTEN, NOTIFY and UNLISTEN: the same commands, of a channel that is the hash of the tenant's seed and the name.

Promises: the client's name never reaches the server, and no two tenants' names become one channel. The name in the
command is a hole, so that one plan serves every tenant; the payload is the client's. mapped.py does the same in SQL
for pg_notify(). Decision 0023.
"""

from __future__ import annotations

from typing import Any

from proxy.sql.plan import Answer, AnswerKind, ChannelHole, Effects, Forward, StatementKind, Template
from proxy.sql.render import fill, quote
from proxy.sql.verify import verify_channel
from proxy.tenancy.derived import SEED

Node = dict[str, Any]
LISTEN = "listen"  # the reason to pin


def plan_channel(tree: Node) -> Forward | Answer:
    """The plan of one of the three. Nobody but a session that listens needs a connection to stop it."""
    template = channel_command(tree)
    for keys in ({SEED: "a"}, {SEED: "b"}):
        verify_channel(fill(template, keys, ()).decode(), channel_of(tree), keys)
    sent = Forward(StatementKind.NOTIFY, template, channel_effects(tree), rules=("shared.channel",))
    return Answer(StatementKind.NOTIFY, AnswerKind.UNLISTEN, sent=sent) if "UnlistenStmt" in tree else sent


def channel_of(tree: Node) -> str | None:
    """The channel that one of the three commands names; None for UNLISTEN *."""
    ((_, body),) = tree.items()
    name = body.get("conditionname")
    return None if name is None else str(name)


def channel_command(tree: Node) -> Template:
    """What is sent for it."""
    ((kind, body),) = tree.items()
    name = channel_of(tree)
    if name is None:
        return Template((b"UNLISTEN *",))
    verb = {"ListenStmt": b"LISTEN ", "NotifyStmt": b"NOTIFY ", "UnlistenStmt": b"UNLISTEN "}[kind]
    payload = b", " + quote(body["payload"]) if "payload" in body else b""
    return Template((verb, payload), (ChannelHole(name),))


def channel_effects(tree: Node) -> Effects:
    """What it does to the session."""
    ((kind, _),) = tree.items()
    if kind == "ListenStmt":
        return Effects(pins=LISTEN, listens=channel_of(tree))
    if kind == "NotifyStmt":
        return Effects(notifies=True)
    return Effects(unlistens=channel_of(tree) is None)
