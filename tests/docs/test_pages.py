"""What the pages name exists, and what exists is named: settings, rule-file keys, metrics, SQLSTATEs, events, links."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest
from prometheus_client.core import Metric
from pydantic import BaseModel
from typer.main import get_command

from proxy.admin.merge import Workers
from proxy.admin.metrics import PartywallCollector, Sources
from proxy.cli import application
from proxy.doctor.canary import Outcome
from proxy.pool.pools import Pools
from proxy.server.gate import Gate
from proxy.server.proofs import OUTCOMES
from proxy.session.counters import Counters
from proxy.session.keeping import SESSION
from proxy.session.notifications import LISTEN
from proxy.session.objects import Objects
from proxy.settings import Address, LogSettings, Settings, load_settings
from proxy.sql.plan import ADVISORY_LOCK, SETSEED, UNTRACKED
from proxy.tenancy import models
from proxy.tenancy.backups import Backups, KeepModel
from proxy.tenancy.extensions import reviewed
from proxy.tenancy.load import load
from proxy.tenancy.logins import AuthQuery, CertificateModel, IssuerModel, LoginModel
from proxy.tenancy.policy import Keep, Limits
from proxy.tenancy.quotas import ClassQuotas, LoginQuotas, Quotas
from proxy.tenancy.servers import PATHS, TARGETS, VALUES
from proxy.tenancy.values import NOT_YET
from tests.docs.pages import OPERATING, README, ROOT, RULES, SPAN, blocks, pages, prose, tables
from tests.kit import tokens
from tests.kit.builders import VERIFIER

DOCUMENTS: dict[str, type[BaseModel]] = {
    "database": models.Database,
    "relations": models.Relation,
    "tenant": models.Tenant,
    "logins": LoginModel,
    "quotas": Quotas,
    "quotas of a login": LoginQuotas,
    "classes": ClassQuotas,
    "defaults": models.Defaults,
    "auth_query": AuthQuery,
    "certificates": CertificateModel,
    "issuer": IssuerModel,
    "backups": Backups,
    "keep": KeepModel,
    "admin": models.Admin,
    "tenants_from": models.TenantsFrom,
}

WHOLE: dict[str, dict[str, object]] = {
    "database": {"database": "shop", "server": "postgresql://a@b/c", "tenant_column": "tenant_id"},
    "tenant": {"tenant": "acme", "key": 1, "databases": ["shop"]},
    "admin": {},
}
# What is marked as later in a table of the rules page, and a value for it.
LATER_VALUES: dict[tuple[str, str], object] = {
    ("admin", "admin"): {},
}
# Keys of which single values are marked so.
LATER_WORDS: set[tuple[str, str]] = set()


def shown(value: object) -> str:
    """A default as the tables write it."""
    if (
        value is None
        or value in ({}, [], (), "", frozenset())
        or (isinstance(value, BaseModel) and not isinstance(value, Address))
    ):
        return "none"
    if isinstance(value, Address):
        return f"`{value.host}:{value.port}`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, list):
        return ", ".join(f"`{one}`" for one in value)
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def fields(model: type[BaseModel]) -> dict[str, str]:
    """Key -> default, as the tables write them."""
    return {
        one.alias or name: "required" if one.is_required() else shown(one.get_default(call_default_factory=True))
        for name, one in model.model_fields.items()
    }


def test_every_setting_stands_in_the_operators_page_with_its_default() -> None:
    wanted = fields(Settings)
    del wanted["log"]
    wanted |= {f"log.{name}": default for name, default in fields(LogSettings).items()}
    assert {row[0].strip("`"): row[1] for row in tables(OPERATING)["Settings"]} == wanted


@pytest.mark.parametrize("heading", DOCUMENTS)
def test_every_key_of_a_document_stands_in_the_rules_page_with_its_default(heading: str) -> None:
    wanted = fields(DOCUMENTS[heading])
    if heading == "quotas":  # what the program takes when nobody says anything
        given = Limits()
        wanted = {name: shown(getattr(given, name, None)) for name in wanted}
    assert {row[0].strip("`"): row[1] for row in tables(RULES)[heading]} == wanted


def test_what_is_called_later_is_refused_as_not_supported_yet() -> None:
    named = []
    for heading, rows in tables(RULES).items():
        for row in rows:
            key, text = row[0].strip("`"), row[-1]
            if text == "*later*" or (heading == "admin" and key == "admin"):
                named.append((heading, key, LATER_VALUES[heading, key]))
            elif "*later*" in text:
                (those,) = re.findall(r"((?:`\w+`(?: and )?)+) (?:is|are) \*later\*", text)
                named += [(heading, key, value) for value in SPAN.findall(those)]
    assert {(heading, key) for heading, key, _ in named} == LATER_VALUES.keys() | LATER_WORDS
    for heading, key, value in named:
        given: dict[str, object] = {key: value}
        if heading == "quotas":
            given = {"quotas": given}
        elif heading == "quotas of a login":
            given = {"logins": {"acme_app": {"verifier": VERIFIER, "quotas": given}}}
        kind = "tenant" if heading.startswith("quotas") else heading
        with pytest.raises(models.InvalidDocument) as refused:
            models.document(kind, WHOLE[kind] | given)
        assert NOT_YET in str(refused.value.mistakes), key


def test_the_parameters_of_a_servers_address_are_those_that_are_known_with_their_defaults() -> None:
    rows = tables(RULES)["The address of a server"]
    wanted = {name: f"`{values[0]}`" for name, values in VALUES.items()} | dict.fromkeys(PATHS, "none")
    wanted |= {"host": "", "port": "", "target_session_attrs": f"`{TARGETS[0]}`"}
    assert {name: row[1] for row in rows for name in SPAN.findall(row[0])} == wanted
    known = {"target_session_attrs": TARGETS, **VALUES}
    for name, _, text in rows:
        for value in known.get(name.strip("`"), ())[1:]:
            assert f"`{value}`" in text, name


@pytest.mark.parametrize("page", [RULES, README])
def test_the_extensions_that_a_page_lists_are_those_that_were_reviewed(page: Path) -> None:
    (listed,) = re.findall(r"citext, pg_trgm, [\w, -]+ and \w+", page.read_text(encoding="utf-8"))
    assert set(re.split(r", | and ", listed.lower())) == reviewed()


def test_every_environment_variable_that_is_named_is_read_somewhere() -> None:
    known = {f"PARTYWALL_{name.upper()}" for name in Settings.model_fields}
    known |= {f"PARTYWALL_LOG__{name.upper()}" for name in LogSettings.model_fields}
    elsewhere = "".join(
        (ROOT / name).read_text(encoding="utf-8")
        for name in (
            "Makefile",
            "tests/conftest.py",
            "tests/kit/turns.py",
            "proxy/demo/cluster.py",
            "proxy/cli/document.py",
        )
    )
    named = {
        name for page in pages() for name in re.findall(r"PARTYWALL_[A-Z_]*[A-Z]", page.read_text(encoding="utf-8"))
    }
    assert named
    assert [name for name in named if name not in known and name not in elsewhere] == []


def metrics() -> dict[str, str]:
    """The name of every family, as the exposition writes it, and its labels, as the table does."""
    sources = Sources(
        traffic=lambda: iter(()),
        pools=Pools(1).statistics,
        databases=dict,
        generation=int,
        reload_failed=bool,
    )

    def name(family: Metric) -> str:
        return f"{family.name}_total" if family.type == "counter" else family.name

    families = [*PartywallCollector(sources).collect(), *Workers(int, int).collect()]
    return {name(family): ", ".join(getattr(family, "_labelnames", ())) for family in families}


def test_every_metric_stands_in_the_operators_page_and_no_other() -> None:
    rows = tables(OPERATING)["Metrics"]
    assert {name: row[1] for row in rows for name in SPAN.findall(row[0])} == metrics()
    everywhere = {name for page in pages() for name in re.findall(r"partywall_[a-z_]+", prose(page))}
    others = {"partywall_app", "partywall_rules", "partywall_tenants"}  # roles and a channel
    assert everywhere - others <= metrics().keys()


@pytest.mark.parametrize(
    ("metric", "values"),
    [
        ("partywall_refused_connections_total", {*Gate(1, 1, 0, float, int).refused}),
        ("partywall_logins_total", {*OUTCOMES}),
        ("partywall_plan_cache_lookups_total", {*Counters().plans}),
        ("partywall_canary_attacks_total", {*get_args(Outcome)}),
        ("partywall_statements_total", {"forward", "answer", "reject"}),
        ("partywall_pinned_sessions", {*Objects().reasons, ADVISORY_LOCK, SETSEED, UNTRACKED, SESSION, LISTEN}),
    ],
)
def test_the_values_of_a_metrics_label_stand_in_the_operators_page_and_no_other(metric: str, values: set[str]) -> None:
    (text,) = [row[2] for row in tables(OPERATING)["Metrics"] if metric in row[0]]
    assert values == {*SPAN.findall(text)} - {"memory_limit", "pool_mode"}


def source_of(folder: str) -> str:
    """All Python of a folder."""
    return "".join(one.read_text(encoding="utf-8") for one in sorted((ROOT / folder).rglob("*.py")))


def test_every_sqlstate_and_its_text_stand_in_the_code() -> None:
    source = source_of("proxy")
    complaints = [row[0] for row in tables(OPERATING)["A client complains"]]
    assert len(complaints) > 15
    for one in complaints:
        for state in re.findall(r"\b(?=\w*\d)[0-9A-Z]{5}\b", one):
            assert f'"{state}"' in source, one
    for text in re.findall(r"\d\w{4} ([a-z][a-z -]{12,})", "\n".join(complaints)):
        words = text.strip().split()
        assert re.search(r"[^\n]*".join(map(re.escape, words)), source), text


def test_every_event_of_the_log_that_is_named_is_logged() -> None:
    source = source_of("proxy")
    logged = set(re.findall(r'log\.(?:info|warning|error)\(\s*"([^"]+)"', source))
    named = {name for row in tables(OPERATING)["Log"] for name in SPAN.findall(row[0])}
    assert named == logged


def test_every_link_leads_to_a_file() -> None:
    links = [
        (page, target)
        for page in pages()
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text(encoding="utf-8"))
    ]
    assert len(links) > 50
    assert [f"{page.name}: {target}" for page, target in links if not (page.parent / target).exists()] == []


def test_every_file_that_is_named_exists() -> None:
    """By its whole path, or by the end of it."""
    folders = ("proxy", "tests", "docs", "rules", "benchmarks")
    files = [*ROOT.glob("*.*"), *(path for one in folders for path in (ROOT / one).rglob("*.*"))]
    parts = [path.relative_to(ROOT).parts for path in files]
    ends = {"/".join(one[at:]) for one in parts for at in range(len(one))}
    named = {(page.name, span) for page in pages() for span in SPAN.findall(prose(page))}
    named = {(page, span) for page, span in named if re.fullmatch(r"[\w/.-]+\.(py|json|yaml|sql|md|yml)", span)}
    assert len(named) > 50
    assert {(page, span) for page, span in named if span not in ends} == set()


def test_decisions_are_numbered_without_a_gap_and_none_is_named_that_is_not_there() -> None:
    decisions = [int(path.name[:4]) for path in (ROOT / "docs" / "decisions").glob("*.md")]
    assert sorted(decisions) == list(range(1, len(decisions) + 1))
    text = "".join(page.read_text(encoding="utf-8") for page in pages()) + source_of("proxy")
    named = re.findall(r"\b(?:[Dd]ecisions? \[?|decisions/|\[|as )(00\d\d)\b", text)
    assert len(named) > 50
    assert set(map(int, named)) <= set(decisions)


def test_every_table_begins_with_its_header() -> None:
    """A blank line within one would show what follows it as text."""
    for page in pages():
        lines = ["", *prose(page).splitlines()]
        begins = [at for at, line in enumerate(lines) if line.startswith("|") and not lines[at - 1].startswith("|")]
        for at in begins:
            assert re.fullmatch(r"\|( ?:?-+:? ?\|)+", lines[at + 1]), f"{page.name}: {lines[at]}"


def test_every_command_in_the_text_has_the_options_that_it_is_given() -> None:
    known = get_command(application).commands  # type: ignore[attr-defined]  # the application is a group of commands
    found = 0
    for page in pages():
        for span in SPAN.findall(prose(page)):
            words = span.split()
            if len(words) > 1 and words[0] == "partywall":
                found += 1
                options = {name for one in known[words[1]].params for name in one.opts}
                assert {word for word in words[2:] if word.startswith("--")} <= options, span
    assert found > 5


def test_every_program_of_the_tests_that_is_named_has_the_options_that_it_is_given() -> None:
    texts = [span for page in pages() for span in SPAN.findall(prose(page))]
    texts += [line for block in blocks() for line in block.text.splitlines()]
    named = [one for text in texts for one in re.findall(r"python -m ((?:tests|benchmarks)\.[^|]*)", text)]
    assert len(named) > 10
    for one in named:
        for program in one.split("python -m "):
            module, *words = program.split()
            source = (ROOT / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")
            for option in re.findall(r"--\w[\w-]*", " ".join(words)):
                assert f'"{option}"' in source, one


def test_the_examples_of_the_rules_page_are_a_rule_set(tmp_path: Path) -> None:
    for number, one in enumerate(blocks()):
        if one.page == "docs/rules.md" and one.language == "yaml":
            (tmp_path / f"{number}.yaml").write_text(one.text, encoding="utf-8")
    (tmp_path / "staff.jwks").write_text(tokens.key_set(tokens.key()), encoding="utf-8")
    book = load(tmp_path, {"RULES_PASSWORD": "for-the-rules"}, 1)
    assert (book.databases, book.tenants) == (
        ("crm", "desk", "erp", "files", "orders", "shop", "store"),
        (
            "acme",
            "apart",
            "custom",
            "globex",
            "hooli",
            "initech",
            "large",
            "small",
            "soylent",
            "stark",
            "trial",
            "umbrella",
            "wonka",
        ),
    )
    assert {grant.tenant: grant.policy.isolation for grant in book.grants.values()} == {
        "acme": "row",
        "apart": "database",
        "custom": "schema",
        "globex": "row",
        "hooli": "schema",
        "initech": "database",
        "large": "row",
        "small": "row",
        "soylent": "row",
        "stark": "rls",
        "trial": "row",
        "umbrella": "row",
        "wonka": "row",
    }
    assert {names: rule.keep for names, rule in book.backups.items()} == {("wonka", "files"): Keep(daily=7, least=24)}


def test_the_example_of_the_operators_page_is_a_settings_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (text,) = [one.text for one in blocks() if one.page == "docs/operating.md" and one.language == "toml"]
    (tmp_path / "partywall.toml").write_text(text, encoding="utf-8")
    monkeypatch.delenv("PARTYWALL_LISTEN", raising=False)
    found = load_settings(tmp_path / "partywall.toml", {})
    assert (found.listen, found.max_server_connections) == (Address(host="0.0.0.0", port=6432), 60)
