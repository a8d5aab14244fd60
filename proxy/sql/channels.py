"""LISTEN, NOTIFY and UNLISTEN. NOTIFY is sent, of a channel that is the hash of the tenant's seed and the name; the
other two are the session's to do, as no server connection of its own listens.

Promises: the client's name never reaches the server, and no two tenants' names become one channel. The name in the
command is a hole, so that one plan serves every tenant; the payload is the client's. mapped.py does the same in SQL
for pg_notify(). Decisions 0023 and 0045.
"""

from __future__ import annotations

from typing import Any

from proxy.sql.plan import Answer, AnswerKind, ChannelHole, Effects, Forward, StatementKind, Template
from proxy.sql.render import fill, quote
from proxy.sql.verify import verify_channel
from proxy.tenancy.derived import SEED

Node = dict[str, Any]
RULES = ("shared.channel",)


def plan_channel(tree: Node) -> Forward | Answer:
    """The plan of one of the three."""
    name = channel_of(tree)
    if "ListenStmt" in tree:
        return Answer(StatementKind.NOTIFY, AnswerKind.LISTEN, name or "", RULES)
    if "UnlistenStmt" in tree:
        return Answer(StatementKind.NOTIFY, AnswerKind.UNLISTEN, name or "", RULES)
    template = notify_command(tree)
    for keys in ({SEED: "a"}, {SEED: "b"}):
        verify_channel(fill(template, keys, ()).decode(), name or "", keys)
    return Forward(StatementKind.NOTIFY, template, Effects(notifies=True), rules=RULES)


def channel_of(tree: Node) -> str | None:
    """The channel that one of the three commands names; None for UNLISTEN *."""
    ((_, body),) = tree.items()
    name = body.get("conditionname")
    return None if name is None else str(name)


def notify_command(tree: Node) -> Template:
    """What is sent for a NOTIFY."""
    body = tree["NotifyStmt"]
    payload = b", " + quote(body["payload"]) if "payload" in body else b""
    return Template((b"NOTIFY ", payload), (ChannelHole(channel_of(tree) or ""),))
