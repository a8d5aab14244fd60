"""A move is killed at any moment, and what goes on with it as well: the tenant has one home, and loses nothing."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.cli.journeys import PAUSE, Journey
from tests.cli.test_move import SETTING, scened
from tests.kit.killing import SEED, driver
from tests.kit.postgres import Cluster

MOVES = 25  # that are killed, in a long run; one in a quick one
WITHIN = 10  # of these, how many in the pause or after it
FURTHER = 2  # commands that go on with a move and are killed, at most
PAUSED = "proxy.backup.journal:turned"  # once the tenant waits
COPIED = "proxy.backup.mirroring:Mirror.copy:1:after"
# Calls of each command, about, for a quick run; a long one counts them.
ROUGH = {"--to": 250_000, PAUSED: 40_000, "--resume": 200_000, "--abort": 80_000, "--clean": 120_000}


@pytest.fixture
def journey(
    run: Run, postgres15: Cluster, postgres18: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Journey]:
    with scened(postgres15, postgres18) as scene, driver(tmp_path / "log") as killer:
        monkeypatch.setenv(SETTING, str(scene.proxy.directory / "state"))
        yield Journey(scene, run, killer)


def counted(journey: Journey) -> dict[str, int]:
    """How many calls there are to each command."""
    found = {}

    def count(kind: str, *what: str, since: str = "") -> None:
        assert journey.killed(f"calls:0{since}", *what) == 0, journey.killer.told
        found[kind] = int(journey.killer.told.rsplit("calls ", 1)[1])

    assert journey.killed(COPIED, *journey.go()) == -9
    count("--abort", "--abort")
    assert journey.killed(COPIED, *journey.go()) == -9
    count("--resume", "--resume", *PAUSE)
    count("--clean", "--clean")
    journey.turned()
    for kind, since in (("--to", ""), (PAUSED, f":{PAUSED}")):
        count(kind, *journey.go(), since=since)
        journey.resolved(False)
    return found


def told(journey: Journey, draw: random.Random, calls: Mapping[str, int], within: bool, tally: Counter[str]) -> str:
    """One move that is killed, and so may be what goes on with it, to the end; what happened, in one line."""
    story = []

    def killed(kind: str, *what: str, since: str = "") -> bool:
        moment = draw.randrange(1, calls[since or kind])
        status = journey.killed(f"calls:{moment}{since and ':'}{since}", *what)
        tally[f"{kind} in its pause" if since else kind] += status == -9
        story.append(f"{kind} {'paused ' if since else ''}{moment} {'died' if status == -9 else status}")
        return status == -9

    with journey.working():
        killed("--to", *journey.go(), since=PAUSED if within else "")
        for _ in range(FURTHER):
            at_once = draw.random() < 0.4  # while the tenant still waits
            if not at_once:
                journey.goes_on()
            phase = journey.check(probed=not at_once)
            tally[f"left in {phase}"] += 1
            if phase == "none":
                break
            if phase in ("moved", "cleaned"):
                killed("--clean", "--clean")
            elif phase == "aborting" or (draw.random() < 0.5 and journey.status()[1] == journey.scene.home(True)):
                killed("--abort", "--abort")
            else:
                killed("--resume", "--resume", *PAUSE)
        waits = draw.random() < 0.4
        if not waits:
            journey.goes_on()
        journey.resolved(back=draw.random() < 0.5, probed=not waits)
    return ", ".join(story)


def test_it_is_killed_at_any_moment_and_has_one_home(journey: Journey, effort: int) -> None:
    draw = random.Random(SEED)
    calls = counted(journey) if effort > 1 else ROUGH
    tally: Counter[str] = Counter()
    for number in range(MOVES if effort > 1 else 1):
        print(number, told(journey, draw, calls, effort == 1 or number % MOVES < WITHIN, tally))
    print(f"seed {SEED}, calls {calls}: {dict(sorted(tally.items()))}")


def test_a_clean_that_was_killed_at_its_last_word_knows_that_it_is_done(journey: Journey) -> None:
    journey.ended(*journey.go())
    assert journey.killed("proxy.backup.journal:ended:2:after", "--clean") == -9
    assert journey.check() == "cleaned"
    refused = journey.run(*journey.arguments("--abort"))
    assert (refused.exit_code, "has moved to" in refused.stderr) == (1, True), refused.output
    journey.resolved(True)
