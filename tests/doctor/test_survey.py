"""A survey asks a database once for all its tenants, and finds of each what it would find alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import pytest

from proxy.catalog.connect import connect
from proxy.catalog.facts import check_facts
from proxy.doctor.provision import provision
from proxy.doctor.survey import grouped, survey
from proxy.errors import ConfigurationError, UnsupportedServer
from proxy.tenancy.load import load
from proxy.tenancy.policy import Credentials, Grant, Server
from tests.kit.attacks import tried
from tests.kit.postgres import Cluster
from tests.kit.rls import load_walled, rls_rules
from tests.kit.rules import own_rules, sample_rules
from tests.kit.schemas import REFERENCE, schema_rules

if TYPE_CHECKING:
    from proxy.catalog.connect import CatalogConnection

DATABASE = "survey_db"
TENANTS = tuple(f"firm{number}" for number in range(40))


@pytest.fixture
def database(server: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server.create_database(DATABASE)
    server.psql(DATABASE, REFERENCE)
    made = grants(tmp_path_factory.mktemp("rules"), rules(server.port, DATABASE, TENANTS))
    server.psql(DATABASE, "\n".join(provision(one, b"0123456789abcdef") for one in made))
    yield DATABASE
    server.drop_database(DATABASE)
    server.psql(sql="".join(f"DROP ROLE {one}_rw;" for one in TENANTS))


def rules(port: int, database: str, tenants: tuple[str, ...], name: str = "shared") -> str:
    """Of tenants that nobody logs in as."""
    return re.sub(r"^logins:\n(?! )", "", schema_rules(port, database, name, tenants), flags=re.MULTILINE)


def grants(folder: Path, *texts: str) -> list[Grant]:
    for number, text in enumerate(texts):
        (folder / f"{number}.yaml").write_text(text, encoding="utf-8")
    return [grant for _, grant in sorted(load(folder, {}, 1).grants.items())]


class Opened:
    """Counts connections, and the questions on them."""

    def __init__(self) -> None:
        self.connections = self.questions = 0

    async def __call__(self, server: Server, credentials: Credentials) -> CatalogConnection:
        connection = await connect(server, credentials)
        self.connections += 1
        connection.add_query_logger(self._asked)
        return connection

    def _asked(self, _: object) -> None:
        self.questions += 1


async def test_forty_tenants_cost_as_many_questions_as_one(server: Cluster, database: str, tmp_path: Path) -> None:
    every = grants(tmp_path, rules(server.port, database, TENANTS))
    one, all_of_them = Opened(), Opened()
    await survey(every[:1], one)
    (found,) = await survey(every, all_of_them)
    assert [each.tenants for each in found] == [(name,) for name in sorted(TENANTS)]
    assert {each.report.score for each in found} == {100}
    assert all_of_them.connections == one.connections == 1
    assert all_of_them.questions == one.questions > 10


async def test_of_each_tenant_is_found_what_would_be_found_of_it_alone(
    server: Cluster, database: str, tmp_path: Path
) -> None:
    server.psql(
        database,
        "GRANT USAGE ON SCHEMA firm1 TO firm2_rw; CREATE TABLE firm3.t (); "
        "GRANT INSERT ON reference.countries TO firm4_rw;"
        "ALTER ROLE firm5_rw CREATEDB; GRANT firm6_rw TO firm7_rw; ALTER ROLE firm8_rw SET row_security = off",
    )
    every = grants(tmp_path, rules(server.port, database, TENANTS))
    (found,) = await survey(every)
    told = {each.tenants[0]: sorted(one.name for one in each.report.open) for each in found if each.report.open}
    assert told == {
        "firm1": ["schema.firm1"],
        "firm2": ["schema.reach"],
        "firm3": ["objects.firm3"],
        "firm4": ["schema.write"],
        "firm5": ["role.createdb"],
        "firm7": ["role.member", "schema.reach"],
        "firm8": ["role.setting"],
    }
    for grant in every[:10]:
        connection = await connect(grant.server, grant.credentials)
        try:
            alone = await check_facts(connection, grant.server, schemas=grant.policy.path)
        finally:
            await connection.close()
        (each,) = [one for one in found if one.tenants == (grant.tenant,)]
        assert set(alone) <= set(each.report.open)
    server.psql(
        database, "REVOKE firm6_rw FROM firm7_rw; ALTER ROLE firm5_rw NOCREATEDB; ALTER ROLE firm8_rw RESET ALL"
    )


async def test_a_tenant_without_a_role_is_a_finding_and_not_an_end(
    server: Cluster, database: str, tmp_path: Path
) -> None:
    text = rules(server.port, database, ("absent", *TENANTS[:2]))
    (found,) = await survey(grants(tmp_path, text))
    assert {each.tenants[0]: [one.name for one in each.report.open] for each in found} == {
        "absent": ["role.unknown"],
        "firm0": [],
        "firm1": [],
    }


async def test_tenants_of_three_modes_are_examined_in_one_run(
    shared_server: Cluster, database: str, tmp_path: Path
) -> None:
    own = own_rules(shared_server.port, "postgres", "firm9_rw", tenant="hooli", login="acme_app", name="alone")
    every = grants(
        tmp_path,
        sample_rules(shared_server.port, "shared").replace("acme_app", "acme_one"),
        rules(shared_server.port, database, TENANTS[:2], "beside"),
        own,
    )
    assert [len(group) for group in grouped(every)] == [3, 2, 1]
    found = await survey(every)
    assert [[each.tenants for each in group] for group in found] == [
        [("acme", "globex", "initech")],
        [("firm0",), ("firm1",)],
        [("hooli",)],
    ]


async def test_a_server_that_does_not_answer_is_a_mistake_and_one_that_is_too_old_a_finding(tmp_path: Path) -> None:
    every = grants(tmp_path, rules(1, "nowhere", TENANTS[:7]))
    tries = []

    async def refused(server: Server, _: Credentials) -> CatalogConnection:
        tries.append(server.role)
        raise asyncpg.InvalidPasswordError("no")

    async def old(*_: object) -> CatalogConnection:
        raise UnsupportedServer(["too old"], 12)

    with pytest.raises(ConfigurationError, match="database shared: no"):
        await survey(every, refused)
    assert tries == [f"firm{number}_rw" for number in range(5)]
    ((each,),) = await survey(every, old)
    ((finding, accepted),) = each.report.findings
    assert (finding.name, accepted, each.report.score) == ("server.version", False, 75)


@pytest.fixture
def walled(server: Cluster) -> Iterator[str]:
    """A copy of the sample set behind policies."""
    load_walled(server).create_database("walled_survey", "template_walled")
    yield "walled_survey"
    server.drop_database("walled_survey")
    server.psql(sql="ALTER ROLE globex_rls NOCREATEDB")


@pytest.mark.parametrize("mode", ["rls", "row+rls"])
async def test_what_tenants_behind_policies_have_in_common_is_told_once(
    server: Cluster, walled: str, mode: str, tmp_path: Path
) -> None:
    every = grants(tmp_path, rls_rules(server.port, walled, mode))
    ((common,),) = await survey(every)
    assert common.tenants == ("acme", "globex", "initech")
    assert not [one for one in common.report.open if one.name.startswith("rls.")]
    server.psql(walled, "ALTER ROLE globex_rls CREATEDB; GRANT DELETE ON products TO partywall_tenants")
    ((common, other),) = await survey(every)
    shown = next(one for one in common.report.open if one.name == "rls.grants.products")
    assert tried(server, walled, "acme_rls", shown.attack, {}) == "23503"  # only that they are referred to stops it
    assert (other.tenants, [one.name for one in other.report.open]) == (("globex",), ["role.createdb"])
    for one in (*common.report.open, *other.report.open):
        server.psql(walled, one.remedy)
    assert tried(server, walled, "acme_rls", shown.attack, {}) == "42501"
    ((common,),) = await survey(every)
    assert common.report.open == ()
