"""Rule files load whole or not at all, and every problem is told with its file and line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from proxy.errors import ConfigurationError
from proxy.tenancy.derived import SEED, seed
from proxy.tenancy.load import load
from proxy.tenancy.rulebook import RuleBook
from tests.kit.builders import VERIFIER
from tests.kit.tokens import URL, key, key_set

DATABASE = "database: shop\nserver: postgresql://app@db:5433/shop?sslmode=require\ntenant_column: tenant_id\n"
TENANT = f'tenant: acme\nkey: 1\ndatabases: [shop]\nlogins:\n  acme_app: {{verifier: "{VERIFIER}"}}\n'
OTHER = f'tenant: globex\nkey: 2\ndatabases: [shop]\nlogins:\n  globex_app: {{verifier: "{VERIFIER}"}}\n'

Load = Callable[..., RuleBook]
Problems = Callable[..., list[str]]


@pytest.fixture
def loaded(tmp_path: Path) -> Load:
    def call(*documents: str, environ: dict[str, str] | None = None) -> RuleBook:
        for number, text in enumerate(documents):
            (tmp_path / f"{number}.yaml").write_text(text, encoding="utf-8")
        return load(tmp_path, environ or {}, 7)

    return call


@pytest.fixture
def problems(loaded: Load, tmp_path: Path) -> Problems:
    def call(*documents: str, environ: dict[str, str] | None = None) -> list[str]:
        with pytest.raises(ConfigurationError) as caught:
            loaded(*documents, environ=environ)
        return [one.removeprefix(f"{tmp_path}/") for one in caught.value.problems]

    return call


def test_a_login_leads_to_its_tenant_on_each_of_its_databases(loaded: Load) -> None:
    book = loaded(DATABASE, TENANT + "---\n" + OTHER)
    assert (book.generation, book.databases, book.tenants) == (7, ("shop",), ("acme", "globex"))
    login = book.login("globex_app")
    assert login is not None
    grant = book.grant(login, "shop")
    assert grant is not None
    assert (grant.tenant, grant.keys) == ("globex", {"default": "2", SEED: seed("globex", "shop")})
    assert (grant.server.host, grant.server.port, grant.credentials.tls) == ("db", 5433, "require")
    assert book.grant(login, "other") is None


def test_problems_of_all_files_come_together_with_their_lines(problems: Problems) -> None:
    found = problems(DATABASE + "tenant_colum: x\n", TENANT + "quotas:\n  connections: many\n", "tenant: [\n")
    assert found[0] == "0.yaml:4: tenant_colum: unknown key"
    assert found[1].startswith("1.yaml:7: quotas: connections: ")
    assert found[2].startswith("2.yaml:2: ")
    assert len(found) == 3  # that acme's database is wrong has been told once


def test_a_mistake_in_a_login_is_told_with_the_line_of_the_login(problems: Problems) -> None:
    wrong = TENANT.removesuffix("}\n") + ", valid_until: soon, allow_from: [here]}\n"
    found = problems(DATABASE, wrong)
    assert found[0].startswith("1.yaml:5: acme_app: valid_until: must be a time with its zone")
    assert found[1].startswith("1.yaml:5: acme_app: allow_from: here is no address")


def test_a_database_that_nobody_describes_is_told_where_it_is_asked_for(problems: Problems) -> None:
    assert problems(TENANT) == ["0.yaml:3: there is no database shop"]


def test_names_and_references_are_checked_in_documents_with_other_mistakes_too(problems: Problems) -> None:
    wrong = TENANT.replace("databases: [shop]", "databases: [shop, nowhere]") + "colour: red\n"
    found = problems(DATABASE + "colour: red\n", wrong, OTHER.replace("globex_app", "acme_app"))
    assert found[:2] == ["0.yaml:4: colour: unknown key", "1.yaml:6: colour: unknown key"]
    assert found[2].startswith("2.yaml:5: login acme_app is also in ")
    assert found[3:] == ["1.yaml:3: there is no database nowhere"]


def test_a_name_that_is_no_word_is_a_mistake_like_others(problems: Problems) -> None:
    (problem,) = problems(DATABASE, TENANT, OTHER.replace("tenant: globex", "tenant: [a, b]"))
    assert problem.startswith("2.yaml:1: tenant: ")


@pytest.mark.parametrize("key", ["1", "'1'", "01", "'+1'"])
def test_two_tenants_with_one_key_are_refused_however_it_is_written(problems: Problems, key: str) -> None:
    found = problems(DATABASE, TENANT, OTHER.replace("key: 2", f"key: {key}"))
    assert found == ["2.yaml:2: tenant acme has the same key on database shop"]


def test_two_tenants_with_one_uuid_are_refused_in_whatever_case(problems: Problems) -> None:
    value = "A0000000-0000-4000-8000-00000000000B"
    first = TENANT.replace("key: 1", f"keys: {{default: 1, uid: {value}}}")
    found = problems(DATABASE, first, OTHER.replace("key: 2", f"keys: {{default: 2, uid: {value.lower()}}}"))
    assert found == ["2.yaml:2: tenant acme has the same key on database shop"]


def test_one_key_on_two_databases_is_no_mistake(loaded: Load) -> None:
    second = DATABASE.replace("database: shop", "database: crm").replace("5433/shop", "5433/crm")
    book = loaded(DATABASE, second, TENANT, OTHER.replace("[shop]", "[crm]").replace("key: 2", "key: 1"))
    assert book.tenants == ("acme", "globex")


def test_names_are_given_once_over_all_files(problems: Problems) -> None:
    assert "database shop is also in" in problems(DATABASE, DATABASE)[0]
    assert "tenant acme is also in" in problems(DATABASE, TENANT, TENANT)[0]
    again = OTHER.replace("globex_app", "acme_app")
    assert "login acme_app is also in" in problems(DATABASE, TENANT, again)[0]
    assert any("duplicate key key" in one for one in problems(DATABASE, TENANT + "key: 3\n", OTHER))


@pytest.mark.parametrize(
    "server",
    [
        "mysql://app@db/shop", "postgresql://app:secret@db/shop", "postgresql://db/shop", "postgresql://app@db",
        "postgresql://app@db/shop?sslmode=maybe", "postgresql://app@db/shop?options=-c%20role=x", "postgresql://app@db:x/s",
    ],
)  # fmt: skip
def test_a_server_that_is_no_plain_address_is_refused(problems: Problems, server: str) -> None:
    (problem,) = problems(DATABASE.replace("postgresql://app@db:5433/shop?sslmode=require", server), TENANT)
    assert problem.startswith("0.yaml:2: server: ")
    assert "secret" not in problem


def test_a_key_that_a_relation_asks_for_must_be_given(problems: Problems) -> None:
    found = problems(DATABASE + "relations:\n  notes: {tenant_column: tenant, key: slug}\n", TENANT)
    assert found == ["1.yaml:1: database shop asks for the key slug of relation notes"]


def test_a_tenant_says_less_than_the_defaults_or_more(loaded: Load) -> None:
    defaults = "defaults:\n  quotas: {connections: 7, statement_timeout: 5s}\n  settings: {work_mem: 8MB}\n"
    book = loaded(DATABASE, defaults, TENANT + "quotas: {connections: 3}\n", OTHER)
    limits = {}
    for name in ("acme_app", "globex_app"):
        login = book.login(name)
        assert login is not None
        grant = book.grant(login, "shop")
        assert grant is not None
        assert grant.settings == {"work_mem": "8MB"}
        limits[name] = (grant.limits.connections, grant.limits.statement_timeout)
    assert limits == {"acme_app": (3, 5.0), "globex_app": (7, 5.0)}


def test_defaults_of_what_is_counted_do_not_bind_a_canary(loaded: Load) -> None:
    defaults = (
        "defaults: {quotas: {statements_per_second: 1, statement_size: 2kB, classes: {ddl: {statement_burst: 1}}}}"
    )
    canary = "tenant: canary\nkey: 9\ndatabases: [shop]\ncanary: true\nquotas: {concurrent_statements: 3}\n"
    book = loaded(DATABASE, defaults + "\n", TENANT, canary)
    limits = {grant.tenant: grant.limits for grant in book.grants.values()}
    assert (limits["acme"].statements_per_second, list(limits["acme"].classes)) == (1.0, ["ddl"])
    mine = limits["canary"]
    assert (mine.statements_per_second, mine.classes, mine.concurrent_statements) == (None, {}, 3)
    assert mine.statement_size == limits["acme"].statement_size == 2048


def test_a_reader_is_of_another_class_than_a_writer(loaded: Load) -> None:
    reader = TENANT.rstrip("\n") + f'\n  acme_ro: {{verifier: "{VERIFIER}", read_only: true}}\n'
    book = loaded(DATABASE, reader)
    classes = []
    for name in ("acme_app", "acme_ro"):
        login = book.login(name)
        assert login is not None
        grant = book.grant(login, "shop")
        assert grant is not None
        classes.append((grant.policy.read_only, grant.policy.policy_class))
    assert [one for one, _ in classes] == [False, True]
    assert classes[0][1] != classes[1][1]


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no such directory"):
        load(tmp_path / "none", {}, 1)


OWN = "database: shop\nisolation: database\n"


def own(tenant: str, *more: str) -> str:
    login = f'logins:\n  {tenant}_app: {{verifier: "{VERIFIER}"}}\n'
    return f"tenant: {tenant}\ndatabases: [shop]\nserver: postgresql://{tenant}@db/{tenant}\n{login}" + "".join(more)


def test_a_tenant_has_a_database_of_its_own_behind_the_name_that_others_have_too(loaded: Load) -> None:
    book = loaded(OWN, own("acme"), own("globex", "password: secret\n"))
    found = {}
    for tenant in ("acme", "globex"):
        login = book.login(f"{tenant}_app")
        assert login is not None
        grant = book.grant(login, "shop")
        assert grant is not None
        found[tenant] = (grant.policy.isolation, grant.server.role, grant.server.database, grant.credentials.password)
    assert found == {"acme": ("database", "acme", "acme", None), "globex": ("database", "globex", "globex", "secret")}


def test_tenants_that_may_do_the_same_on_a_database_have_one_policy(loaded: Load) -> None:
    """It is built and hashed once, not for each of ten thousand."""
    acme, globex = (
        text + f"  {tenant}_ro: {{certificate: {{dns: {tenant}}}, read_only: true}}\n"
        for tenant, text in (("acme", TENANT), ("globex", OTHER))
    )
    book = loaded(DATABASE, acme, globex, own("third", "isolation: database\n"))
    made = {
        tenant: [book.grants[tenant, "shop", only].policy for only in (False, True)] for tenant in ("acme", "globex")
    }
    assert made["acme"][0] is made["globex"][0]
    assert made["acme"][1] is made["globex"][1]
    assert [one.read_only for one in made["acme"]] == [False, True]
    assert book.grants["third", "shop", False].policy.isolation == "database"
    limited = loaded(DATABASE, TENANT, OTHER + "quotas: {statement_size: 1kB}\n")
    assert {limited.grants[tenant, "shop", False].policy.statement_size for tenant in ("acme", "globex")} == {
        1024,
        1_048_576,
    }


def test_tenants_whose_statements_may_nest_differently_share_no_plans(loaded: Load) -> None:
    for other in (OTHER, own("globex", "isolation: database\n")):
        book = loaded(DATABASE, TENANT, other + "quotas: {statement_nesting: 9}\n")
        policies = [book.grants[tenant, "shop", False].policy for tenant in ("acme", "globex")]
        assert [one.statement_nesting for one in policies] == [None, 9]
        assert policies[0].policy_class != policies[1].policy_class


def test_only_who_has_a_login_that_reads_only_has_what_such_a_login_may(loaded: Load) -> None:
    reader = TENANT + "  acme_ro: {certificate: {dns: acme}, read_only: true}\n"
    book = loaded(DATABASE, reader, OTHER)
    assert sorted(book.grants) == [("acme", "shop", False), ("acme", "shop", True), ("globex", "shop", False)]


def test_modes_mix_behind_one_name(loaded: Load) -> None:
    book = loaded(DATABASE, TENANT, own("globex", "isolation: database\n"))
    modes = {name[0]: grant.policy.isolation for name, grant in book.grants.items()}
    assert modes == {"acme": "row", "globex": "database"}


def test_the_server_of_a_database_may_be_one_tenants_own(loaded: Load, problems: Problems) -> None:
    place = OWN + "server: postgresql://app@db/shop\n"
    loaded(place, TENANT)
    assert problems(place, TENANT, OTHER) == [
        "1.yaml:1: tenant globex has the same database at db",
        "1.yaml:1: tenant globex has the same role at db",
    ]


@pytest.mark.parametrize(
    ("documents", "problem"),
    [
        ((OWN, TENANT), "1.yaml:3: neither the tenant nor database shop has a server"),
        ((OWN, own("acme", "isolation: row\n")), "isolation: database shop has no tenant_column"),
        ((DATABASE, TENANT.replace("key: 1\n", "")), "must say exactly one of key and keys: database shop is shared"),
        ((OWN, own("acme").replace('"}', '", read_only: true}')), "read_only is for shared databases"),
        ((OWN, own("acme", "canary: true\n").replace("logins", "x-logins")), "unknown key"),
        ((OWN, own("acme"), own("globex").replace("db/globex", "db/acme")), "has the same database at db"),
        ((OWN, own("acme"), own("globex").replace("globex@", "acme@")), "has the same role at db"),
    ],
)
def test_what_the_mode_has_not_is_told(problems: Problems, documents: tuple[str, ...], problem: str) -> None:
    assert problem in "\n".join(problems(*documents))


def test_a_canary_has_nothing_to_attack_on_a_database_of_its_own(problems: Problems) -> None:
    canary = "tenant: canary\ndatabases: [shop]\nserver: postgresql://a@b/c\ncanary: true\n"
    (problem,) = problems(OWN, canary)
    assert problem == "1.yaml:4: canary: on database shop there is nobody to hide from"


ASKING = DATABASE + "auth_query: {query: SELECT 1, role: asker, password: hunter2}\n"


def test_a_servers_verifiers_are_asked_for_by_the_first_of_the_tenants_databases_that_can(loaded: Load) -> None:
    plain = DATABASE.replace("database: shop", "database: crm")
    tenant = "tenant: acme\nkey: 1\ndatabases: [crm, shop]\nlogins:\n  a: {verifier: auth_query}\n"
    tenant += f"  b: {{verifier: '{VERIFIER}'}}\n"
    book = loaded(plain, ASKING, tenant)
    asked, own = book.login("a"), book.login("b")
    assert asked is not None
    assert own is not None
    assert own.source is None
    assert asked.source is not None
    assert (asked.verifier, asked.source.query, asked.source.server.role) == (None, "SELECT 1", "asker")
    assert asked.source.credentials.password == "hunter2"
    assert "hunter2" not in repr(asked)


def test_who_is_asked_for_no_verifiers_is_told_by_the_line_of_the_login(problems: Problems) -> None:
    tenant = "tenant: acme\nkey: 1\ndatabases: [shop]\nlogins:\n  a: {verifier: auth_query}\n"
    assert problems(DATABASE, tenant) == ["1.yaml:5: a: none of the tenant's databases has an auth_query"]


ISSUER = f"""issuer: {URL}
audience: partywall
suffix: "@example.com"
keys: ${{env:KEYS}}
"""
FEDERATED = TENANT + '  alice@example.com: {token: "248289761001"}\n'
KEYS = {"KEYS": key_set(key())}


def test_the_end_of_a_name_says_whose_token_is_asked_for(loaded: Load) -> None:
    book = loaded(DATABASE, FEDERATED, ISSUER, environ=KEYS)
    login, issuer = book.login("alice@example.com"), book.issuer("alice@example.com")
    assert login is not None
    assert issuer is not None
    assert (login.token, login.verifier, issuer.url) == ("248289761001", None, URL)
    assert book.issuer("nobody@example.com") is issuer  # it exists or not: the same is asked
    assert book.issuer("acme_app") is None


def test_a_token_nobody_signs_and_a_password_nobody_asks_for_are_mistakes(problems: Problems) -> None:
    assert problems(DATABASE, FEDERATED) == [
        "1.yaml:6: alice@example.com has a token, and its name ends with no issuer's suffix"
    ]
    named = TENANT.replace("acme_app", "acme@example.com")
    assert problems(DATABASE, named, ISSUER, environ=KEYS) == [
        "1.yaml:5: acme@example.com must have a token: its name ends with @example.com"
    ]


def test_two_issuers_for_one_name_are_a_mistake(problems: Problems) -> None:
    second = ISSUER.replace(URL, "https://other.example").replace('"@example.com"', '"@corp@example.com"')
    (problem,) = problems(DATABASE, TENANT, ISSUER, second, environ=KEYS)
    assert problem == f"3.yaml:3: issuer {URL} has the suffix @example.com, too like it"
    (problem,) = problems(DATABASE, TENANT, ISSUER, ISSUER, environ=KEYS)
    assert problem.startswith(f"3.yaml:1: issuer {URL} is also in ")


def test_keys_that_cannot_be_used_are_told_by_their_line(problems: Problems) -> None:
    (problem,) = problems(DATABASE, TENANT, ISSUER, environ={"KEYS": "hunter2"})
    assert problem == "2.yaml:1: keys must be a JWKS, or PEM: a public key or a certificate"


def test_how_connections_are_pooled_is_the_databases_to_say_and_the_mode_the_tenants(loaded: Load) -> None:
    plain = loaded(DATABASE, TENANT).grants["acme", "shop", False]
    assert (plain.pool_mode, plain.lazy_begin) == ("transaction", False)
    book = loaded(DATABASE + "pool_mode: session\nlazy_begin: true\n", TENANT, OTHER + "pool_mode: transaction\n")
    modes = {tenant: book.grants[tenant, "shop", False].pool_mode for tenant in ("acme", "globex")}
    assert modes == {"acme": "session", "globex": "transaction"}
    assert all(one.lazy_begin for one in book.grants.values())


def test_comments_are_dropped_unless_the_rules_of_a_shared_database_keep_them(loaded: Load, problems: Problems) -> None:
    assert loaded(DATABASE, TENANT).grants["acme", "shop", False].comments == "drop"
    assert loaded(DATABASE + "comments: keep\n", TENANT).grants["acme", "shop", False].comments == "keep"
    book = loaded(DATABASE + "comments: keep\n", TENANT, own("globex", "isolation: database\n"))
    assert {tenant: one.comments for (tenant, _, _), one in book.grants.items()} == {"acme": "keep", "globex": "drop"}
    assert problems(DATABASE + "comments: some\n", TENANT) != []
    (problem,) = problems("database: shop\nisolation: database\ncomments: keep\n")
    assert problem.endswith("comments is for shared databases, and isolation is database")


def test_a_servers_ceiling_is_that_of_every_database_there_and_of_no_other_server(loaded: Load) -> None:
    here = DATABASE + "max_server_connections: 30\n"
    beside = DATABASE.replace("shop", "crm", 2)
    away = DATABASE.replace("shop", "blog", 2).replace("5433", "5434")
    book = loaded("---\n".join([here, beside, away, TENANT.replace("[shop]", "[shop, crm, blog]")]))
    assert {grant.database: grant.max_server_connections for grant in book.grants.values()} == {
        "shop": 30, "crm": 30, "blog": None,
    }  # fmt: skip


def test_two_documents_that_say_different_ceilings_of_one_server_are_a_mistake(problems: Problems) -> None:
    beside = DATABASE.replace("shop", "crm", 2)
    texts = (DATABASE + "max_server_connections: 30\n", beside + "max_server_connections: 20\n", TENANT)
    (problem,) = problems(*texts)
    assert problem == "1.yaml:4: database shop is at the same server, and says 30"
