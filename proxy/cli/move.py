"""`partywall move`: a tenant goes to another server, or into another isolation mode, while it works.

Exit status: 0: done; 1: not done, with the reasons, and how far it is; 2: wrong usage.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import quote

import typer

from proxy.catalog.watch import FAILURES
from proxy.cli.document import Document, InFile, InRow, Table, file_of, written_table
from proxy.cli.operator import At, Config, Rules, ServerUri, grant_in, place_for, told
from proxy.cli.orders import held, unbegun
from proxy.cli.report import reported
from proxy.cli.showing import shown
from proxy.errors import ConfigurationError
from proxy.fleet.rulefiles import write_new
from proxy.settings import Settings, load_settings
from proxy.tenancy.documents import home_of, keys_of
from proxy.tenancy.policy import Grant

if TYPE_CHECKING:
    from proxy.backup.ends import Ends
    from proxy.cli.doors import RuleDoors

ID_BYTES = 4
WHAT = {
    "not begun": "nothing was done yet: --resume begins, --abort forgets it",
    "copying": "it works at the source: --resume goes on, --abort gives it up",
    "fenced": "the source refuses its writes: --resume goes on, --abort gives it up",
    "switching": "the source refuses its writes, and so does the target: --resume goes on, --abort gives it up",
    "aborting": "it works at the source: --abort gives it up, and nothing else goes on from here",
    "moved": "it works at the target: --clean deletes what it left at the source",
    "cleaned": "it works at the target, and nothing is left at the source: --clean forgets the move",
}

UNKNOWN = "the source refuses its writes, and whether the target is open could not be asked"
OPENED = "it works at the target, which is open: --resume ends the move"


@dataclass(frozen=True, slots=True)
class Order:
    """What was asked for, kept in the state directory until nothing is left of it. file: the tenant's, below the rules;
    or table: where its row is written. before: the text of either.
    """

    id: str
    to: str | None
    password: str | None
    file: str | None
    before: str
    table: str | None = None  # not in orders of before there was one
    mode: str | None = None
    schema: str | None = None
    login: str | None = None
    key: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Asked:
    """Where to, as the command line has it."""

    to: str | None
    password: str | None
    mode: str | None
    schema: str | None
    login: str | None
    key: tuple[str, ...]

    @property
    def anything(self) -> bool:
        return self.to is not None or self.mode is not None


def move(
    tenant: Annotated[str, typer.Option(help="Who moves.")],
    database: Annotated[str, typer.Option(help="The database, as applications name it.")],
    to: Annotated[
        str | None,
        typer.Option(help="Where to, as the rules will have it: postgresql://role@host:port/database, no password."),
    ] = None,
    password: Annotated[
        str | None, typer.Option(help="The role's there, as the rules will have it: ${file:PATH} or ${env:NAME}.")
    ] = None,
    mode: Annotated[
        Literal["row", "rls", "schema", "database"] | None,
        typer.Option(
            help="The isolation mode that it will have; default: as it is. Without --to in the same database."
        ),
    ] = None,
    schema: Annotated[
        str | None, typer.Option(help="Of mode schema: the schema's name; default: as the rules have it.")
    ] = None,
    login: Annotated[
        str | None,
        typer.Option(help="Of modes schema and rls: the tenant's role at the server; default: as the rules have it."),
    ] = None,
    key: Annotated[
        list[str] | None,
        typer.Option(help="Of modes row and rls, where the rules have none: VALUE, or NAME=VALUE several times."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Change nothing; tell what is in the way.")] = False,
    status: Annotated[bool, typer.Option("--status", help="Tell how far a move is.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a move that was interrupted.")] = False,
    abort: Annotated[bool, typer.Option("--abort", help="Give a move up: the tenant stays where it is.")] = False,
    clean: Annotated[bool, typer.Option("--clean", help="After a move: delete what was left at the source.")] = False,
    max_pause: Annotated[float, typer.Option(min=0.1, help="Seconds that the tenant may wait.")] = 5,
    at: At = None,
    rules: Rules = Path("rules"),
    table: Table = None,
    server: ServerUri = None,
    to_server: Annotated[
        str | None, typer.Option(help="As --server, for the place where it goes; default: as --to has it.")
    ] = None,
    config: Config = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Move a tenant to another server or isolation mode: copied and followed while it works, then a moment's pause."""
    wanted = _Asked(to, password, mode, schema, login, tuple(key or ()))
    if sum([dry_run, status, resume, abort, clean]) > 1 or wanted.anything == any((status, resume, abort, clean)):
        raise typer.BadParameter(
            "--to or --mode, or one of --status, --resume, --abort and --clean; --dry-run goes with --to and --mode"
        )
    if mode is None and (schema or login or key):
        raise typer.BadParameter("--schema, --login and --key go with --mode")
    if table is not None and not wanted.anything:
        raise typer.BadParameter("--table goes with --to and --mode; what was begun has its own")
    with reported():
        settings = load_settings(config, {})
        path = settings.state_directory / "moves" / f"{quote(tenant, safe='')}@{quote(database, safe='')}.json"
    with reported(), held(path, tenant) if resume or abort or clean else nullcontext():
        order = _ordered(tenant, path, wanted, rules, table)
        run = _Run(tenant, database, path, order, settings, rules, server, to_server, at or [], max_pause)
        if status:
            lines, found = asyncio.run(run.status())
        elif abort:
            lines, found = asyncio.run(run.abort())
        elif clean:
            lines, found = asyncio.run(run.clean())
        elif dry_run:
            lines, found = asyncio.run(run.tried())
        else:
            lines, found = asyncio.run(run.move(resume))
    typer.echo(json.dumps(found, indent=2) if as_json else "\n".join(lines))


def _ordered(tenant: str, path: Path, asked: _Asked, rules: Path, table: str | None) -> Order:
    """The order in the state directory, or a new one."""
    if path.exists():
        if asked.anything:
            raise ConfigurationError([f"{tenant} is being moved: --status tells how far, --resume goes on"])
        return Order(**json.loads(path.read_text(encoding="utf-8")))
    if not asked.anything:
        raise unbegun(path, tenant)
    if asked.password is not None and not asked.password.startswith("${"):
        raise ConfigurationError(["a password does not belong on a command line; say ${file:PATH} or ${env:NAME}"])
    file = None if table is not None else str(file_of(tenant, rules).relative_to(rules))
    order = Order(secrets.token_hex(ID_BYTES), file=file, table=table, before="", **asdict(asked))
    return replace(order, before=asyncio.run(_document(order, tenant, rules).read()))


def _document(order: Order, tenant: str, rules: Path) -> Document:
    """What the move changes."""
    try:
        keys = keys_of(order.key) if order.key else {}
    except ValueError as error:
        raise ConfigurationError([f"--key: {error}"]) from None
    changes = home_of(order.to, order.password, order.mode, order.schema, order.login, keys)
    if order.table is not None:
        table, writer, _ = written_table(order.table, rules)
        return InRow(rules, table, writer, tenant, changes, order.id)
    return InFile(rules, rules / (order.file or ""), tenant, changes, order.id)


@dataclass(frozen=True, slots=True)
class _Run:
    tenant: str
    database: str
    path: Path
    order: Order
    settings: Settings
    rules: Path
    server: str | None
    to_server: str | None
    at: list[str]
    max_pause: float

    async def tried(self) -> tuple[list[str], Any]:
        """--dry-run."""
        from proxy.backup.ends import check_ways
        from proxy.backup.moving import tried

        ends, doors = await self._ends()
        check_ways(ends.here, ends.there)
        await doors.check_others()
        with told("nothing was changed"):
            names = [one.title for one in await tried(ends)]
        return [*names, f"{len(names)} tables would move; nothing was changed"], {"tables": names}

    async def move(self, again: bool) -> tuple[list[str], Any]:
        """--to and --resume."""
        from proxy.backup.ends import check_ways
        from proxy.backup.moving import move, standing

        ends, doors = await self._ends()
        check_ways(ends.here, ends.there)
        doors.alone = not again
        if not again:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_new(self.path, json.dumps(asdict(self.order)))
            self.path.chmod(0o600)
        with nullcontext() if again else held(self.path, self.tenant):
            try:
                with told(f"move of {self.tenant}: --status tells how far it is"), shown() as tell:
                    done = await move(ends, doors, self.order.id, self.max_pause, tell)
            except ConfigurationError:
                with suppress(*FAILURES):
                    if not again and await standing(ends) is None:  # nothing was begun
                        doors.forget()
                        self.path.unlink(missing_ok=True)
                raise
        lines = [
            f"{self.tenant} is at {doors.there}: {done.copied} rows were copied, {done.followed} changes followed",
            f"it waited for {done.pause:.2f} seconds",
            f"what it had at {doors.here} stays there until --clean",
        ]
        return lines, asdict(done)

    async def status(self) -> tuple[list[str], Any]:
        """--status."""
        from proxy.backup.moving import open_there, standing

        ends, doors = await self._ends()
        with told(f"move of {self.tenant}"):
            found = await standing(ends)
            phase = found.phase if found is not None else "cleaned" if await doors.named() else "not begun"
            home: str | None = doors.there if phase in ("moved", "cleaned") else doors.here
            what = WHAT[phase]
            if found is not None and phase == "switching":
                try:
                    home, what = (doors.there, OPENED) if await open_there(ends, found) else (home, what)
                except FAILURES as error:
                    home, what = None, f"{UNKNOWN}: {error}"
        return [f"{self.tenant}: {phase}, {doors.here} to {doors.there}", what], {"phase": phase, "home": home}

    async def abort(self) -> tuple[list[str], Any]:
        """--abort."""
        from proxy.backup.moving import abort, standing

        ends, doors = await self._ends()
        with told(f"move of {self.tenant}"):
            if await doors.named() and await standing(ends) is None:
                raise ConfigurationError([f"{self.tenant} has moved to {doors.there}: --clean ends it"])
            await abort(ends, doors)
        doors.forget()
        self.path.unlink()
        return [f"{self.tenant} stays at {doors.here}"], {"home": doors.here}

    async def clean(self) -> tuple[list[str], Any]:
        """--clean."""
        from proxy.backup.leaving import clean

        ends, doors = await self._ends()
        with told(f"what {self.tenant} left"):
            count = await clean(ends, doors)
        self.path.unlink()
        return [f"{count} rows were deleted at {doors.here}"], {"rows": count}

    async def _ends(self) -> tuple[Ends, RuleDoors]:
        from proxy.backup.ends import Ends, one_database
        from proxy.cli.doors import RuleDoors

        document = _document(self.order, self.tenant, self.rules)
        before, now = self.order.before, await document.read()
        after = document.edited(before)
        if now not in (before, after) and now != (other := document.edited(now)):
            at, to = await self._grant(document, now), await self._grant(document, other)
            if at.home != to.home:  # somebody changed it, and the tenant is where it came from
                before, after = now, other
        here, there = await self._grant(document, before), await self._grant(document, after)
        way = self.server if self.to_server is None and one_database(here, there) else self.to_server
        ends = Ends(place_for(here, self.server, self.settings), place_for(there, way, self.settings), here, there)
        doors = RuleDoors(
            tenant=self.tenant,
            database=self.database,
            document=document,
            before=before,
            after=after,
            here=here.home,
            there=there.home,
            settings=self.settings,
            at=self.at,
            max_pause=self.max_pause,
            alone=True,
        )
        return ends, doors

    async def _grant(self, document: Document, text: str) -> Grant:
        return grant_in(await document.book(text), self.tenant, self.database)
