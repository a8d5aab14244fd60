"""Lock step: the same blocks at a private database and through the proxy, each difference as an outcome.

Outcomes: `equal`; `refused` (the proxy said 0A000 or another refusal of its own where the private database did not,
and nothing
else differs before it); `different`. Only `different` is a fault; what is refused is listed by id in what each test
expects.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tests.equivalence.compare import Seen, run_block
from tests.equivalence.corpus import Block
from tests.kit.rawclient import RawClient

REFUSALS = frozenset({"0A000", "42501", "42883"})  # 42883: a function that the rules do not list


@dataclass(frozen=True, slots=True)
class Outcome:
    block: Block
    verdict: str
    expected: tuple[Seen, ...]
    seen: tuple[Seen, ...]

    @property
    def sqlstate(self) -> str:
        return next((str(one[2]) for one in self.seen if one[0] == "E"), "")


def run(
    blocks: Iterable[Block], private: Callable[[], RawClient], proxied: Callable[[], RawClient], protocol: str
) -> list[Outcome]:
    """Runs every block at both; a connection that a block closed is opened anew."""
    outcomes = []
    clients = {"private": private(), "proxied": proxied()}
    try:
        for block in blocks:
            answers: dict[str, list[Seen]] = {}
            for name, connect in (("private", private), ("proxied", proxied)):
                answers[name] = run_block(clients[name], block, protocol)
                if answers[name] and answers[name][-1] == ("closed",):
                    clients[name].close()
                    clients[name] = connect()
            outcomes.append(Outcome(block, _verdict(answers), tuple(answers["private"]), tuple(answers["proxied"])))
    finally:
        for client in clients.values():
            client.close()
    return outcomes


def _verdict(answers: dict[str, list[Seen]]) -> str:
    expected, seen = answers["private"], answers["proxied"]
    if expected == seen:
        return "equal"
    for index, one in enumerate(seen):
        if index < len(expected) and expected[index] == one:
            continue
        refused = one[0] == "E" and one[2] in REFUSALS and (index >= len(expected) or expected[index][0] != "E")
        return "refused" if refused else "different"
    return "different"


def table(outcomes: Iterable[Outcome]) -> str:
    """family × outcome, as text."""
    counted: Counter[tuple[str, str]] = Counter((one.block.family, one.verdict) for one in outcomes)
    verdicts = ("equal", "refused", "different")
    families = sorted({family for family, _ in counted})
    lines = [f"{'family':14}" + "".join(f"{verdict:>11}" for verdict in verdicts)]
    lines += [f"{family:14}" + "".join(f"{counted[family, verdict]:11}" for verdict in verdicts) for family in families]
    totals = [sum(counted[family, verdict] for family in families) for verdict in verdicts]
    lines.append(f"{'all':14}" + "".join(f"{total:11}" for total in totals))
    return "\n".join(lines)
