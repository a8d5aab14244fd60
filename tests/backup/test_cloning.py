"""A tenant becomes another's for staging: masked before anything is written, with references that hold."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path
from typing import Any

import psycopg
import pytest

from proxy.backup.archive import members, unpacked, writing
from proxy.backup.cloning import Masking, clone
from proxy.backup.masking import MaskingFile, read_masking
from proxy.backup.pseudonyms import Pseudonyms
from proxy.backup.refusal import Refused
from proxy.backup.restoring import Restored
from proxy.backup.taking import back_up
from proxy.backup.writing import Difference, Mode
from proxy.doctor.provision import provision
from proxy.tenancy.policy import Grant
from proxy.tenancy.rulebook import RuleBook
from tests.backup.shelf import UNDER, book_of, operators
from tests.backup.staging import MASKING, ROWS, SECRETS, TABLES, company
from tests.kit.postgres import Cluster, find_binaries
from tests.kit.rules import own_rules, sample_rules
from tests.kit.schemas import schema_rules

PROGRAM = str(find_binaries(18) / "pg_dump")
KEY = b"a key of sixteen and more"
MORE = "CREATE MATERIALIZED VIEW acme.names AS SELECT name FROM acme.people;"
EVERYTHING = "SELECT string_agg(t::text, E'\n' ORDER BY t::text) FROM {} t WHERE tenant_id = {}"


@pytest.fixture(scope="module")
def made(postgres18: Cluster) -> Iterator[tuple[str, RuleBook]]:
    with company(postgres18) as (database, rules):
        yield database, book_of(rules)


@pytest.fixture
def scene(made: tuple[str, RuleBook], postgres18: Cluster) -> tuple[str, RuleBook]:
    """The company, and nothing in staging."""
    postgres18.psql(made[0], "DELETE FROM letters WHERE tenant_id = 9; DELETE FROM people WHERE tenant_id = 9")
    return made


def masking(tmp_path: Path, grant: Grant, text: str = MASKING, key: bytes = KEY) -> Masking:
    (tmp_path / "masking.yaml").write_text(text, "utf-8")
    return Masking(read_masking(tmp_path / "masking.yaml", {}), grant, Pseudonyms(key, grant.tenant))


def cloned(
    cluster: Cluster,
    source: Grant,
    target: Grant,
    masks: Masking | None = None,
    mode: Mode = "into-empty",
    dry_run: bool = False,
    quiet: Any = nullcontext,
) -> Restored:
    places = [operators(cluster, one.server.database) for one in (source, target)]
    return asyncio.run(
        clone(
            (places[0], source),
            (places[1], target),
            UNDER,
            masks,
            mode,
            dry_run,
            pg_dump=PROGRAM,
            quiet=quiet,
        )
    )


def rows(cluster: Cluster, database: str, tenant: int) -> dict[str, str]:
    return {one: cluster.psql(database, EVERYTHING.format(one, tenant)) for one in ("people", "letters")}


def test_staging_gets_masked_rows_with_references_and_others_do_not_change(
    postgres18: Cluster, scene: tuple[str, RuleBook], tmp_path: Path
) -> None:
    database, book = scene
    grants = {tenant: book.grants[tenant, database, False] for tenant in book.tenants}
    before = {one: rows(postgres18, database, one) for one in (1, 2)}
    masks = masking(tmp_path, grants["acme"])
    would = cloned(postgres18, grants["acme"], grants["staging"], masks, dry_run=True)
    assert rows(postgres18, database, 9) == {"people": "\n", "letters": "\n"}
    done = cloned(postgres18, grants["acme"], grants["staging"], masks)
    assert done.tables == would.tables == {"people": Difference(40), "letters": Difference(40)}
    assert done.renumbered == {"people.id": 40}
    assert masks.columns == 13  # with letters.recipient, which follows
    assert {one: rows(postgres18, database, one) for one in (1, 2)} == before
    assert not [one for one in SECRETS for text in rows(postgres18, database, 9).values() if one in text]
    with psycopg.connect(postgres18.dsn(database=database), autocommit=True) as connection:

        def asked(query: str) -> tuple[Any, ...]:
            row = connection.execute(query.encode()).fetchone()
            assert row is not None
            return tuple(row)

        shape = (
            "SELECT count(*), count(DISTINCT email), count(DISTINCT name) > 20, count(phone), count(nick), count(photo)"
            ", count(DISTINCT token), count(boss), bool_and(label = name || ' ' || email), max(length(nick)),"
            " count(DISTINCT extract(year FROM born)) FROM people WHERE tenant_id = 9"
        )
        assert asked(shape) == (40, 40, True, 32, 32, 0, 40, 13, True, 10, 1)
        joined = (
            "SELECT count(*), count(*) FILTER (WHERE copy_to = p.email AND author = p.id) FROM letters l"
            " JOIN people p ON p.tenant_id = l.tenant_id AND p.email = l.recipient WHERE l.tenant_id = 9"
        )
        assert asked(joined) == (40, 40)
        bosses = "SELECT count(DISTINCT boss), bool_and(boss IN (SELECT id FROM people WHERE tenant_id = {0}))"
        of = f"{bosses} FROM people WHERE tenant_id = {{0}} AND boss IS NOT NULL"
        assert asked(of.format(9)) == asked(of.format(1)) == (1, True)
    emails = postgres18.psql(database, "SELECT email FROM people WHERE tenant_id = 9 ORDER BY 1")
    again = cloned(postgres18, grants["acme"], grants["staging"], masks, "replace")
    assert again.tables["people"] == Difference(40, 0, 40)  # numbers that everybody shares are drawn anew each time
    assert postgres18.psql(database, "SELECT email FROM people WHERE tenant_id = 9 ORDER BY 1") == emails


def test_another_key_or_tenant_has_other_pseudonyms(
    postgres18: Cluster, scene: tuple[str, RuleBook], tmp_path: Path
) -> None:
    database, book = scene
    acme = book.grants["acme", database, False]

    def emails(masks: Masking) -> set[str]:
        return {line.split(b"\t")[2].decode() for line in taken(postgres18, acme, masks, tmp_path).splitlines()}

    found = [emails(masking(tmp_path, acme, key=key)) for key in (KEY, KEY, b"another key of sixteen")]
    assert found[0] == found[1]
    assert not found[0] & found[2]


def taken(cluster: Cluster, grant: Grant, masks: Masking, tmp_path: Path) -> bytes:
    """What a backup with masks has of people."""
    path = tmp_path / "archive"
    path.unlink(missing_ok=True)
    with writing(str(path)) as sink:
        place = operators(cluster, grant.server.database)
        manifest = asyncio.run(back_up(place, grant, UNDER, sink, masks=masks))
    (people,) = [one for one in manifest.relations if one.name == "people"]
    wanted = {one.name for one in people.members}
    return b"".join(unpacked(name, stored) for name, stored in members(str(path)) if name in wanted)


def test_what_is_written_is_masked_and_what_lies_on_the_disk_meanwhile_is_sealed(
    postgres18: Cluster, scene: tuple[str, RuleBook], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, book = scene
    acme, staging = (book.grants[one, database, False] for one in ("acme", "staging"))
    rows_of_people = taken(postgres18, acme, masking(tmp_path, acme), tmp_path)
    assert rows_of_people.count(b"\n") == 40
    assert not [one for one in SECRETS if one.encode() in rows_of_people]
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    seen = []

    def look() -> AbstractAsyncContextManager[None]:
        (path,) = tmp_path.glob("partywall-clone-*/archive")
        seen.append((path.read_bytes()[:21], path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777))
        return nullcontext()

    cloned(postgres18, acme, staging, masking(tmp_path, acme), quiet=look)
    assert seen == [(b"age-encryption.org/v1", 0o600, 0o700)]
    assert list(tmp_path.glob("partywall-clone-*")) == []


def test_a_new_column_does_not_get_into_staging_unnoticed(
    postgres18: Cluster, scene: tuple[str, RuleBook], tmp_path: Path
) -> None:
    database, book = scene
    acme, staging = (book.grants[one, database, False] for one in ("acme", "staging"))
    postgres18.psql(database, "ALTER TABLE people ADD COLUMN passport text")
    try:
        with pytest.raises(Refused, match=r"^people.passport is not listed$"):
            cloned(postgres18, acme, staging, masking(tmp_path, acme))
        assert rows(postgres18, database, 9) == {"people": "\n", "letters": "\n"}
        masks = masking(tmp_path, acme, f"unlisted: keep\n{MASKING}")
        assert cloned(postgres18, acme, staging, masks).tables["people"] == Difference(40)
    finally:
        postgres18.psql(database, "ALTER TABLE people DROP COLUMN passport")


def test_a_tenant_is_not_cloned_onto_itself_by_whatever_name(postgres18: Cluster, scene: tuple[str, RuleBook]) -> None:
    database, book = scene
    acme = book.grants["acme", database, False]
    before = rows(postgres18, database, 1)
    with pytest.raises(Refused, match="acme is there what acme is: a tenant is not cloned onto itself"):
        cloned(postgres18, acme, acme, mode="replace")
    with pytest.raises(Refused, match="a clone is not merged into what is there"):
        cloned(postgres18, acme, book.grants["staging", database, False], mode="merge")
    assert rows(postgres18, database, 1) == before


def test_the_same_tenant_in_another_database_is_another(postgres18: Cluster, scene: tuple[str, RuleBook]) -> None:
    database, book = scene
    with company(postgres18) as (elsewhere, rules):
        postgres18.psql(elsewhere, "TRUNCATE letters, people")
        done = cloned(postgres18, book.grants["acme", database, False], book_of(rules).grants["acme", elsewhere, False])
        assert done.tables == {"people": Difference(40), "letters": Difference(40)}
        assert rows(postgres18, elsewhere, 1) == rows(postgres18, database, 1)


SCHEMAS = """
---
tenant: newco
databases: [shared]
schema: newco
server_login: newco_rw
"""


def test_a_schema_of_ones_own_is_cloned_with_its_definitions_and_masked(postgres18: Cluster) -> None:
    postgres18.create_database("own_schemas")
    try:
        book = book_of(schema_rules(postgres18.port, "own_schemas", tenants=("acme",)) + SCHEMAS)
        acme, newco = (book.grants[one, "shared", False] for one in ("acme", "newco"))
        made = f"CREATE SCHEMA reference; CREATE SCHEMA acme; SET search_path = acme; {TABLES} {ROWS} {MORE}"
        texts = [provision(one, b"0123456789abcdef") for one in (acme, newco)]
        postgres18.psql("own_schemas", " ".join([made, *texts]))
        tables = {"people": {"name": {"fake": "name"}, "email": "hash", "prefs": {"set": "{}"}}}
        rules = MaskingFile.model_validate({"unlisted": "keep", "tables": tables})
        masks = Masking(rules, acme, Pseudonyms(KEY, "acme"))
        done = cloned(postgres18, acme, newco, masks)
        assert (masks.columns, done.tables["acme.people"]) == (4, Difference(80))
        with psycopg.connect(postgres18.dsn("newco_rw", "own_schemas"), autocommit=True) as tenant:
            query = "SELECT count(*), count(DISTINCT recipient), count(label) FROM newco.letters JOIN newco.people p"
            query += " ON p.email = recipient WHERE name !~ 'Person' AND recipient !~ 'person'"
            assert tenant.execute(query.encode()).fetchone() == (80, 80, 80)
            assert tenant.execute("SELECT count(*) FROM newco.names WHERE name ~ 'Person'").fetchone() == (0,)
            tenant.execute("INSERT INTO newco.people (tenant_id, email, name) VALUES (1, 'new', 'new')")
        assert postgres18.psql("own_schemas", "SELECT count(*) FROM acme.people WHERE name ~ 'Person'").strip() == "80"
        foreign = book_of(sample_rules(postgres18.port, "own_schemas")).grants["acme", "own_schemas", False]
        with pytest.raises(Refused, match="acme is in mode row, and newco in mode schema: a clone keeps the mode"):
            cloned(postgres18, foreign, newco)
    finally:
        postgres18.drop_database("own_schemas")
        postgres18.psql(sql="DROP ROLE IF EXISTS newco_rw")


def test_a_database_of_ones_own_is_cloned_into_an_empty_one(postgres18: Cluster) -> None:
    rules = own_rules(postgres18.port, "own_one", "own_one_app", name="one")
    rules += "---\n" + own_rules(postgres18.port, "own_two", "own_two_app", "globex", "globex_app", "two")
    book = book_of(rules)
    acme, globex = book.grants["acme", "one", False], book.grants["globex", "two", False]
    masks = MaskingFile.model_validate({"unlisted": "keep", "tables": {"people": {"name": {"fake": "name"}}}})
    try:
        for name in ("own_one", "own_two"):
            postgres18.create_database(name)
        postgres18.psql("own_one", f"{TABLES} {ROWS}")
        postgres18.psql("own_two", "CREATE ROLE own_two_app LOGIN; ALTER SCHEMA public OWNER TO own_two_app")
        done = cloned(postgres18, acme, globex, Masking(masks, acme, Pseudonyms(KEY, "acme")))
        assert done.tables["people"] == Difference(80)
        count = "SELECT count(*), count(*) FILTER (WHERE label LIKE 'Person%') FROM people"
        assert postgres18.psql("own_two", count).strip() == "80|0"
        with pytest.raises(Refused, match="the database is not empty"):
            cloned(postgres18, acme, globex)
        with pytest.raises(Refused, match="acme is there what acme is"):
            cloned(postgres18, acme, acme)
    finally:
        for name in ("own_one", "own_two"):
            postgres18.drop_database(name)
        postgres18.psql(sql="DROP ROLE IF EXISTS own_two_app")
