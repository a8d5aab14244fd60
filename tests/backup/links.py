"""Archives made of rows that a test has, whole or since another, without a server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from proxy.backup.archive import finish, members, packed, writing
from proxy.backup.chain import Chain, linked
from proxy.backup.checking import examined
from proxy.backup.manifest import (
    ColumnForm,
    Manifest,
    Member,
    RelationForm,
    RemovedForm,
    RulesForm,
    SnapshotForm,
)
from proxy.backup.since import Since

Rows = Mapping[str, Sequence[bytes]]  # by table, each without its newline


def form(name: str, *columns: str) -> RelationForm:
    """A table of the tenant's own schema."""
    return RelationForm(
        schema="acme", name=name, columns=tuple(ColumnForm(name=one, type="text") for one in columns or ("a",))
    )


def texts(rows: Sequence[bytes], size: int) -> list[bytes]:
    """As members have them, so many rows each."""
    return [b"".join(one + b"\n" for one in rows[at : at + size]) for at in range(0, len(rows), size)]


def made(path: Path, rows: Rows, before: Chain | None = None, size: int = 3, most: int = 1000) -> Chain:
    """An archive of these rows; what it is with those that it builds on. size: rows in a member. most: of Since."""
    since = None if before is None else Since(before, most)
    forms = [form(name) for name in rows]
    compared: Sequence[int] = ()
    if since is not None:
        since.remember()
        compared = since.begin(forms)
        for number in compared:
            for text in texts(list(rows.values())[number], 2):
                since.see(number, text)
        since.compare()
    with writing(str(path)) as sink:

        def put(name: str, text: bytes) -> Member:
            member, stored = packed(name, text)
            sink.add(name, stored)
            return member

        relations = []
        for number, (one, now) in enumerate(zip(forms, rows.values(), strict=True)):
            given = texts(now, size)
            more: dict[str, object] = {}
            if since is not None and since.builds(number):
                assert since.wants(number) == bool(len(since.fresh[number]))
                given = [since.fresh[number].of(text) for text in given]
                since.fresh[number].check_found(one.title)
                removed = [
                    RemovedForm(
                        base=base,
                        members=tuple(
                            put(f"removed/{number}/{base}/{at}.zst", text) for at, text in enumerate(gone.texts())
                        ),
                    )
                    for base, gone in since.gone(number)
                ]
                more = {"builds": True, "removed": tuple(removed), "total": since.total(number)}
            found = tuple(put(f"data/{number}/{at}.copy.zst", text) for at, text in enumerate(given) if text)
            relations.append(one.model_copy(update={"members": found, **more}))
        manifest = Manifest(
            format=1 if since is None else 2,
            program="partywall 0",
            tenant="acme",
            database="shop",
            isolation="schema",
            schema="acme",
            server_version=180000,
            snapshot=SnapshotForm(time=f"2026-11-26T06:00:{path.name:0>2}Z", lsn="0/1"),
            rules=RulesForm(generation=1, hash="0" * 64),
            relations=tuple(relations),
            bases=() if since is None else since.bases,
        )
        finish(sink, manifest)
    if since is not None:
        since.close()
    return chain(path)


def chain(path: Path, *bases: Path) -> Chain:
    """An archive with those that it builds on."""
    return Chain(linked(str(path), [str(one) for one in bases], lambda one: examined(members(one))))


def held(whole: Chain) -> dict[str, Counter[bytes]]:
    """The rows of a chain, by table, however often each."""
    homes = {one.name: relation for relation in whole.manifest.relations for one in relation.members}
    found = {one.name: Counter[bytes]() for one in whole.manifest.relations}
    for member, plain in whole.contents(whole.manifest.members):
        rows = plain.split(b"\n")[:-1]
        assert len(rows) == member.rows
        found[homes[member.name].name].update(rows)
    return found


def counted(rows: Rows) -> dict[str, Counter[bytes]]:
    return {name: Counter(some) for name, some in rows.items()}
