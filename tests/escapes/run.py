"""Each attack at a private database and through the proxy, and what to make of the two answers.

Outcomes: `equal`; `refused` (an error where the private database had none, or another error, and nothing but errors
beside it);
`different`: something was answered that the private database would not have said. A foreign byte anywhere in the
client's stream is
a leak whatever the outcome.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from tests.equivalence.compare import Seen, observe
from tests.escapes.corpus import Attack
from tests.kit.rawclient import RawClient

FOREIGN = re.compile(rb"globex|initech", re.IGNORECASE)
BUGS = frozenset({"XX000"})


@dataclass(frozen=True, slots=True)
class Result:
    attack: Attack
    verdict: str
    sqlstates: tuple[str, ...]
    leaks: tuple[bytes, ...]
    bug: bool
    expected: tuple[Seen, ...]
    seen: tuple[Seen, ...]


def attempt(attack: Attack, client: RawClient, end: str) -> tuple[list[Seen], bytes]:
    """Runs one attack; `end` is ROLLBACK or COMMIT for those that run in a transaction. What was seen, and the raw
    stream.
    """
    seen: list[Seen] = []
    raw = b""
    wrapped = attack.transaction
    if wrapped:
        client.simple("BEGIN")
    for statement in (*attack.pre, *attack.statements):
        exchange = client.simple(statement)
        raw += exchange.raw
        seen += observe(exchange, ordered=False)
        if exchange.messages and exchange.messages[-1].tag == "G":
            exchange = client.copy_data(attack.copydata or b"")
            raw += exchange.raw
            seen += observe(exchange, ordered=False)
        if exchange.closed:
            return seen, raw
    if wrapped or (seen and seen[-1][-1] != b"I"):
        client.simple(end)
    return seen, raw


def judge(
    attack: Attack, private: Callable[[], RawClient], proxied: Callable[[], RawClient], end: str = "ROLLBACK"
) -> Result:
    """Runs the attack at both, each on a connection of its own; one that must be refused at the proxy only, because
    at a private
    database it would do what it says (ALTER ROLE changes the whole cluster).
    """
    expected: list[Seen] = []
    allowed = b""
    if attack.action != "reject":
        with private() as client:
            expected, allowed = attempt(attack, client, end)
    with proxied() as client:
        seen, raw = attempt(attack, client, end)
    sent = b"\n".join((*attack.pre, *attack.statements, attack.copydata or b"")) + allowed
    leaks = tuple(
        {found.group(0) for found in FOREIGN.finditer(raw)} - {found.group(0) for found in FOREIGN.finditer(sent)}
    )
    codes = tuple(str(one[2]) for one in seen if one[0] == "E")
    verdict = _verdict(expected, seen) if attack.action != "reject" else "refused" if codes else "accepted"
    return Result(attack, verdict, codes, leaks, bool(BUGS & set(codes)), tuple(expected), tuple(seen))


def _verdict(expected: list[Seen], seen: list[Seen]) -> str:
    if expected == seen:
        return "equal"
    rest = list(seen)
    for one in expected:
        if rest and rest[0] == one:
            rest.pop(0)
        else:
            break
    # What follows a refusal inside a transaction: that it is aborted, and ROLLBACK as the tag of its end.
    after = all(one[0] in ("E", "Z", "closed") or one == ("C", b"ROLLBACK\0") for one in rest)
    return "refused" if rest and rest[0][0] == "E" and after else "different"
