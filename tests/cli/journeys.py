"""A tenant on its way between two servers, whatever is killed meanwhile: what must hold at each moment, and in the end.

The servers are asked where its home is, by writes beside every proxy; and the proxies, by writes of the tenant.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

import psycopg

from proxy.fleet.control import Resume, Statistics
from tests.cli.conftest import Run
from tests.cli.test_move import SETTING, Scene
from tests.kit.books import eventually
from tests.kit.killing import Driver
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy

PAUSE = ("--max-pause", "30")
BODY = "written meanwhile"
NOWHERE = ("fenced", "switching")  # phases in which nobody writes, unless the target is open
UNWRITTEN = re.compile(r"\..+\.\d{1,7}")  # by its process's number: a file that had not got its name yet
_numbers = count(1)
_notes = count(10_000)


@dataclass(slots=True)
class Writer:
    """A client of the tenant that writes all the time, in transactions of three tables, and keeps what it was told."""

    dsn: str
    first: int
    stop: threading.Event = field(default_factory=threading.Event)
    done: list[int] = field(default_factory=list)  # what it was told is committed
    unsure: list[int] = field(default_factory=list)  # of which nobody told it
    refused: int = 0  # times that nothing of the tenant was written anywhere
    troubles: list[str] = field(default_factory=list)

    def work(self) -> None:
        client: psycopg.Connection[Any] | None = None
        number = self.first
        while not self.stop.wait(0.02):  # as busy as leaves the machine time for the move
            number += 1
            try:
                client = client or psycopg.connect(self.dsn, autocommit=True, prepare_threshold=2)
                with client.transaction():
                    client.execute("INSERT INTO notes (id, body) VALUES (%s, %s)", [number, BODY])
                    client.execute("INSERT INTO events (id, kind, at) VALUES (%s, 'load', now())", [number])
                    client.execute("UPDATE customers SET credit = credit + 1 WHERE id = 1")
                self.done.append(number)
            except (psycopg.errors.ReadOnlySqlTransaction, psycopg.errors.SerializationFailure):
                self.refused += 1
            except psycopg.Error as error:
                self.unsure.append(number)
                self.troubles.append(f"{type(error).__name__}: {error}")
                if client is not None:
                    client.close()
                client = None
        if client is not None:
            client.close()


@dataclass(slots=True)
class Journey:
    """Of one tenant. others: further proxies that serve it; options: of commands, to name all of them."""

    scene: Scene
    run: Run
    killer: Driver
    others: Sequence[Proxy] = ()
    options: tuple[str, ...] = ()
    steady: bool = True  # neither a server nor a proxy was killed

    @property
    def proxies(self) -> tuple[Proxy, ...]:
        return (self.scene.proxy, *self.others)

    def killed(self, point: str, *what: str) -> int:
        """The command up to a point; its exit status, or minus the signal."""
        return self.killer.run(point, *self.arguments(*what), **self.environment)

    def stands(self, point: str, *what: str) -> None:
        """The command stands still at a point; the killer has it go on."""
        self.killer.start(f"{point}:stop", *self.arguments(*what), **self.environment)
        self.killer.stopped()

    def arguments(self, *what: str) -> tuple[str, ...]:
        return "move", *self.scene.common, *self.options, *what

    @property
    def environment(self) -> dict[str, str]:
        return {SETTING: str(self.scene.proxy.directory / "state")}

    def go(self) -> tuple[str, ...]:
        """The arguments that begin a move."""
        return "--to", self.scene.to, *PAUSE

    def ended(self, *what: str) -> None:
        """The command comes to its end."""
        assert self.killed("", *what) == 0, (what, self.killer.told)

    def status(self) -> tuple[str, str | None]:
        """Phase and home, as the command tells them; `none` where it knows of no move."""
        done = self.run(*self.arguments("--status", "--json"))
        if done.exit_code:
            assert "no move of globex was begun here" in done.stderr, done.output
            return "none", self._served()
        found = json.loads(done.stdout)
        return found["phase"], found["home"]

    def _served(self) -> str:
        """Where every process of every proxy serves the tenant."""
        found = {
            one["homes"][self.scene.proxy.database]["at"]
            for proxy in self.proxies
            for one in proxy.ask(Statistics("globex")).result["processes"]
        }
        (home,) = found
        return str(home)

    def goes_on(self) -> None:
        """As if the time of the pause were over."""
        for one in self.proxies:
            one.ask(Resume())

    def check(self, probed: bool = True) -> str:
        """The tenant has one home, as the servers decide it and the command tells it, or for a moment none; the phase.
        probed: its clients have it, too."""
        scene = self.scene
        phase, home = self.status()
        takes = scene.takes(False), scene.takes(True)
        there = phase in ("moved", "cleaned") or (phase in ("switching", "none") and home == scene.home(False))
        at = (phase, home, takes)
        assert home == scene.home(not there), at
        if phase in NOWHERE and not there:
            assert takes == (False, False), at
        elif there:
            assert takes[1], at
            assert not takes[0] or scene.rows(False) == {}, at  # cleaned, and no place of the tenant's any more
        else:
            assert takes[0], at
            assert not takes[1] or scene.rows(True) == {}, at  # nothing has come there yet, or is there any more
        for one in self.proxies if probed else ():
            self._probe(one, phase in NOWHERE and not there, there)
        return phase

    def _probe(self, proxy: Proxy, nowhere: bool, there: bool) -> None:
        """What a client of this proxy writes is at the tenant's home and nowhere else, or is refused."""

        def written() -> tuple[int, str] | None:
            note = next(_notes)
            try:
                with psycopg.connect(proxy.dsn("globex_app"), autocommit=True) as client:
                    client.execute("INSERT INTO notes (id, body) VALUES (%s, 'probe')", [note])
                    assert client.execute("SELECT body FROM notes WHERE id = %s", [note]).fetchone() == ("probe",)
            except psycopg.errors.ReadOnlySqlTransaction:
                return note, "refused"
            except psycopg.Error:
                if self.steady:
                    raise
                return None  # a connection that died with its server is found out by whoever uses it
            return note, "written"

        found = eventually(written, 30)
        assert isinstance(found, tuple), f"no client of {proxy.port} gets anywhere: {proxy.log[-2000:]}"
        note, what = found
        query = f"SELECT id FROM notes WHERE tenant = 'globex' AND id = {note}"
        places = [ids(*place, query) for place in self._places]
        at = (what, places, nowhere, there)
        assert what == ("refused" if nowhere else "written"), at
        assert places == ([[], []] if nowhere else [[note] * (not there), [note] * there]), at

    @property
    def _places(self) -> tuple[tuple[Cluster, str], tuple[Cluster, str]]:
        scene = self.scene
        return (scene.first, scene.here), (scene.second, scene.there)

    @contextmanager
    def working(self) -> Iterator[list[Writer]]:
        """Clients at every proxy write meanwhile; after the block, what they were told is what is at the tenant's home,
        each once, and nothing else is."""
        begun = self.scene
        credit, rest = self._credit(), still(begun.rows(False))
        around = begun.others(False), begun.others(True)
        writers = [Writer(one.dsn("globex_app"), next(_numbers) * 1_000_000) for one in self.proxies]
        threads = [threading.Thread(target=one.work) for one in writers]
        for one in threads:
            one.start()
        try:
            assert eventually(lambda: all(len(one.done) + len(one.troubles) > 2 for one in writers), 30)
            yield writers
            many = [len(one.done) for one in writers]
            assert eventually(
                lambda: all(len(one.done) > before for one, before in zip(writers, many, strict=True)), 25
            ), "they do not go on by themselves"
        finally:
            for writer in writers:
                writer.stop.set()
            for one in threads:
                one.join(90)
        self._compare(writers, credit)
        assert not self.steady or [one.troubles for one in writers] == [[] for _ in writers]
        now = self.scene  # turned round where the tenant has moved
        same = now.here == begun.here
        assert still(now.rows(False)) == rest
        assert around == (now.others(not same), now.others(same))

    def _credit(self) -> int:
        (found,) = ids(*self._places[0], "SELECT credit FROM customers WHERE tenant_id = 2 AND id = 1")
        return int(found)

    def _compare(self, writers: Sequence[Writer], credit: int) -> None:
        """What is at the tenant's home, and how the sum of it came about."""
        total = 0
        for one in writers:
            between = f"id BETWEEN {one.first} AND {one.first + 999_999}"
            notes = ids(*self._places[0], f"SELECT id FROM notes WHERE tenant = 'globex' AND {between}")
            events = ids(*self._places[0], f"SELECT id FROM events WHERE tenant_id = 2 AND {between}")
            assert sorted(notes) == sorted(events)
            assert len(set(notes)) == len(notes)
            lost, strange = set(one.done) - set(notes), set(notes) - {*one.done, *one.unsure}
            assert (lost, strange) == (set(), set())
            total += len(notes)
        assert self._credit() == credit + total

    def finished(self) -> None:
        """Nothing of a move is left anywhere, and the tenant is at the first place."""
        scene = self.scene
        folder = scene.proxy.directory
        left = [*folder.glob("state/moves/*"), *folder.glob("rules/.*")]
        assert [one.name for one in left if not UNWRITTEN.fullmatch(one.name)] == []
        assert (scene.traces(False), scene.traces(True)) == (0, 0)
        assert scene.takes(False)

    def resolved(self, back: bool, probed: bool = True) -> None:
        """An interrupted move comes to its end: where it can be given up, and back is asked for, the tenant stays.
        probed: before that, too."""
        phase = self.check(probed)
        if phase == "none":
            if self._served() == self.scene.home(False):
                self.turned()
            self.finished()
            return
        if phase not in ("moved", "cleaned"):
            goes_back = phase == "aborting" or (back and self.status()[1] == self.scene.home(True))
            if goes_back:
                self.ended("--abort")
                assert (self.check(), self.scene.rows(True)) == ("none", {})
                self.finished()
                return
            self.ended("--resume", *PAUSE)
            assert self.check() == "moved"
        self.ended("--clean")
        self.turned()
        assert self.check() == "none"
        self.finished()

    def turned(self) -> None:
        """The tenant has moved: the way back is the way from now on."""
        scene = self.scene
        assert scene.rows(False) == {}
        self.scene = replace(scene, first=scene.second, here=scene.there, second=scene.first, there=scene.here)


def still(rows: dict[str, str]) -> dict[str, str]:
    """Without the tables that clients write to."""
    return {name: digest for name, digest in rows.items() if name.split()[0] not in ("notes", "events", "customers")}


def ids(cluster: Cluster, database: str, query: str) -> list[int]:
    with psycopg.connect(cluster.dsn(database=database)) as connection:
        return [row[0] for row in connection.execute(query.encode())]
