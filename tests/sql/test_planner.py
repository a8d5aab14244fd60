"""The planner: a refusal is a plan, and a plan is found again only by who would have been given the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from proxy.catalog.model import Catalog
from proxy.sql.admission import admitted
from proxy.sql.plan import Forward, Owner, PlanContext, Planned
from proxy.sql.planner import Planner
from proxy.sql.world import World
from proxy.tenancy.policy import Policy, RelationRule
from proxy.tenancy.rulebook import classified
from tests.sql.worlds import sample_policy

INT4, TEXT = 23, 25


def context_of(world: World, policy: Policy | None = None) -> PlanContext:
    return PlanContext(classified(policy or sample_policy()), world.catalog.version, role="app")


@pytest.fixture
def planner(world: World) -> Planner:
    return Planner(world.catalog, 1 << 20)


def sent(planner: Planner, text: str, context: PlanContext, types: Sequence[int] = ()) -> tuple[str, ...]:
    return planner.explain_text(
        planner.plan(text.encode(), context, types), {"default": "1", "slug": "acme", "uid": "u"}
    )


def test_however_many_contexts_there_are_each_finds_its_own_plans(
    planner: Planner, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.sql.planner.MAX_NEAR", 2)
    text = b"SELECT count(*) FROM orders"
    contexts = [replace(context_of(world), role=f"role{number}") for number in range(5)]
    for context in contexts:
        assert planner.lookup(text, context) is None
        planner.plan(text, context)
    for context in contexts * 2:
        assert planner.lookup(text, replace(context)) is not None
        assert planner.lookup(text, context) is not None
    assert planner.lookup(text, replace(context_of(world), role="another")) is None


def test_the_same_text_and_context_find_their_plan_again(planner: Planner, world: World) -> None:
    text, context = b"SELECT count(*) FROM orders WHERE id = 5", context_of(world)
    assert planner.lookup(text, context) is None
    planned = planner.plan(text, context)
    again = planner.lookup(text, context_of(world))
    assert again is not None
    assert again.plans == planned.plans


def test_a_text_of_the_same_shape_finds_the_plan_with_its_own_literals(planner: Planner, world: World) -> None:
    context = context_of(world)
    planner.plan(b"SELECT note FROM orders WHERE id = 5", context)
    other = planner.lookup(b"SELECT note FROM orders WHERE id = 7", context)
    assert other is not None
    (text,) = planner.explain_text(other, {"default": "1"})
    assert "id = 7" in text
    assert "id = 5" not in text


CHANGES = {
    "relations": lambda policy: replace(
        policy,
        relations={**policy.relations, ("public", "orders"): RelationRule("public", "orders", "hidden")},
    ),
    "tenant column": lambda policy: replace(policy, tenant_column="id"),
    "read only": lambda policy: replace(policy, read_only=True),
    "statement size": lambda policy: replace(policy, statement_size=10),
    "sequences": lambda policy: replace(policy, sequences={("public", "invoice_no_seq"): "shared"}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_another_policy_never_finds_the_plan(planner: Planner, world: World, change: str) -> None:
    """Left out of the key, a hidden table would be read, a reader would write, and so on."""
    text = b"SELECT count(*) FROM orders"
    planner.plan(text, context_of(world))
    other = context_of(world, CHANGES[change](sample_policy()))
    assert planner.lookup(text, other) is None
    if change in {"relations", "statement size"}:
        assert planner.plan(text, other).rejection is not None


def test_a_reader_is_not_handed_the_plan_of_a_writer(planner: Planner, world: World) -> None:
    text, writer = b"DELETE FROM orders WHERE id = 1", context_of(world)
    assert planner.plan(text, writer).rejection is None
    reader = context_of(world, replace(sample_policy(), read_only=True))
    refused = planner.plan(text, reader).rejection
    assert refused is not None
    assert refused.sqlstate == "25006"


@pytest.mark.parametrize(
    "other", [{"catalog_version": 2}, {"search_path": ("audit", "public")}, {"role": "another"}], ids=str
)
def test_another_catalog_path_or_role_never_finds_the_plan(
    planner: Planner, world: World, other: dict[str, object]
) -> None:
    text, context = b"SELECT count(*) FROM orders", context_of(world)
    planner.plan(text, context)
    assert planner.lookup(text, replace(context, **other)) is None  # type: ignore[arg-type]  # fields by name


def test_other_parameter_types_never_find_the_plan(planner: Planner, world: World) -> None:
    text, context = b"SELECT note FROM orders WHERE id = $1", context_of(world)
    planner.plan(text, context, (INT4,), True)
    assert planner.lookup(text, context, (TEXT,), True) is None
    assert planner.lookup(text, context, (), True) is None
    assert planner.lookup(text, context, (INT4,), False) is None
    assert planner.lookup(text, context, (INT4,), True) is not None


def without_orders(catalog: Catalog) -> Catalog:
    """The next catalog, after orders was dropped."""
    left = {name: one for name, one in catalog.relations.items() if name != ("public", "orders")}
    return replace(catalog, version=catalog.version + 1, relations=left)


HIDDEN = CHANGES["relations"](sample_policy())
NUMERIC, FLOAT8 = 1700, 701
# What a key holds -> a text, how one asks for it, and how another does whose decision must be another.
PARTS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "policy": ("SELECT note FROM orders", {}, {"policy": HIDDEN}),
    "policy's reader": ("DELETE FROM orders", {}, {"policy": replace(sample_policy(), read_only=True)}),
    "catalog": ("SELECT note FROM orders", {}, {"catalog": True}),
    "search path": ("SELECT note FROM orders", {}, {"search_path": ("pg_catalog",)}),
    "types": ("SELECT note FROM orders WHERE amount = $1", {"types": (NUMERIC,)}, {"types": (FLOAT8,)}),
    "extended": ("SELECT 1; SELECT 2", {"extended": False}, {"extended": True}),
}


@pytest.mark.parametrize("part", PARTS)
def test_a_key_that_lacked_a_part_would_hand_out_anothers_decision(
    world: World, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, first, second = PARTS[part]
    newer = without_orders(world.catalog) if "catalog" in second else world.catalog

    def asked(catalog: Catalog, way: dict[str, Any]) -> tuple[PlanContext, tuple[int, ...], bool]:
        policy = classified(way.get("policy", sample_policy()))
        context = PlanContext(policy, catalog.version, way.get("search_path", ("public",)), "app")
        return context, way.get("types", ()), way.get("extended", True)

    def found() -> Planned | None:
        planner = Planner(world.catalog, 1 << 20)
        assert planner.plan(text.encode(), *asked(world.catalog, first)).rejection is None
        planner.replace_catalog(newer)
        return planner.lookup(text.encode(), *asked(newer, second))

    def key(_: Planner, context: PlanContext, types: Sequence[int], extended: bool) -> object:
        every = {
            "policy": context.policy.policy_class,
            "catalog": context.catalog_version,
            "search path": context.search_path,
            "types": tuple(types),
            "extended": extended,
        }
        del every[part.partition("'")[0]]
        return tuple(every.items())

    assert found() is None
    monkeypatch.setattr(Planner, "_key", key)
    leaked = found()
    assert leaked is not None
    decided = Planner(newer, 0).plan(text.encode(), *asked(newer, second))
    assert leaked.plans != decided.plans


def test_no_plan_holds_a_key_of_a_tenant(planner: Planner, world: World) -> None:
    planned = planner.plan(b"SELECT * FROM orders o JOIN notes n ON n.id = o.id", context_of(world))
    texts = {planner.explain_text(planned, {"default": key, "slug": f"s{key}"})[0] for key in ("1", "2")}
    assert len(texts) == 2
    assert all(f"'{key}'" in text for key, text in zip(("1", "2"), sorted(texts), strict=True))


def test_one_plan_serves_every_tenant_and_every_literal_for_the_tenant_column(planner: Planner, world: World) -> None:
    """The literal is asked for with each text; the plan knows neither it nor the key."""
    context = context_of(world)
    planner.plan(b"INSERT INTO customers VALUES (1, 5, 'x')", context)
    found = planner.lookup(b"INSERT INTO customers VALUES (2, 6, 'y')", context)
    assert found is not None
    for key, admits in (("1", False), ("2", True), ("3", False)):
        assert (admitted(found, {"default": key}).rejection is None) is admits
        expected = f"INSERT INTO public.customers (tenant_id, id, name) VALUES ('{key}'::int, 6, 'y')"
        assert planner.explain_text(found, {"default": key}) == (expected,)


def test_a_literal_that_is_not_lifted_is_asked_for_as_it_was_planned(planner: Planner, world: World) -> None:
    context, text = context_of(world), b"INSERT INTO customers VALUES (2, 6, 'y') -- no lifting"
    planned = planner.plan(text, context)
    assert planned.literals == ()
    for one in (planned, planner.lookup(text, context)):
        assert one is not None
        assert admitted(one, {"default": "2"}).rejection is None
        assert admitted(one, {"default": "1"}).rejection is not None


def test_a_plan_of_an_older_catalog_is_never_found(planner: Planner, world: World) -> None:
    text = b"SELECT count(*) FROM orders"
    planner.plan(text, context_of(world))
    newer = replace(world.catalog, version=world.catalog.version + 1)
    planner.replace_catalog(newer)
    assert planner.lookup(text, replace(context_of(world), catalog_version=newer.version)) is None


@pytest.mark.parametrize(
    ("text", "sqlstate"),
    [
        ("SELEC 1", "42601"),
        ("SELECT * FROM no_such", "42P01"),
        ("SELECT pg_read_file('x')", "42501"),
        ("COPY orders TO '/tmp/x'", "42501"),
        ("SELECT " + "+1" * 30_000, "54001"),
        ("SELECT " + "(" * 20_000 + "1" + ")" * 20_000, "42601"),  # memory exhausted, says PostgreSQL's own grammar
        ("SELECT '" + "x" * (1 << 20) + "'", "54000"),
    ],
    ids=lambda value: value[:24],
)
def test_a_refusal_is_a_plan_with_its_sqlstate(planner: Planner, world: World, text: str, sqlstate: str) -> None:
    refused = planner.plan(text.encode(), context_of(world)).rejection
    assert refused is not None
    assert refused.sqlstate == sqlstate


def test_one_bad_statement_refuses_the_whole_text(planner: Planner, world: World) -> None:
    planned = planner.plan(b"DELETE FROM orders; SELECT * FROM no_such", context_of(world))
    assert planned.rejection is not None


def test_nothing_is_forwarded_that_the_verifier_does_not_prove(
    planner: Planner, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rewriter that forgets the predicate: the text is refused, not sent."""
    monkeypatch.setattr("proxy.sql.planner.fill", lambda *_: b"SELECT * FROM public.orders")
    planned = planner.plan(b"SELECT * FROM orders", context_of(world))
    assert not [plan for plan in planned.plans if isinstance(plan, Forward)]
    assert planned.rejection is not None
    assert planned.rejection.sqlstate == "0A000"


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        (b"SELECT * FROM no_such WHERE a = 5 AND b = 'x'", "SELECT * FROM no_such WHERE a = ? AND b = ?"),
        (b"SELECT /* x */ * FROM no_such WHERE a = $$5$$", "SELECT * FROM no_such WHERE a = ?"),
        (b"SELEC 'x'", ""),
    ],
)
def test_a_refused_text_that_parses_is_shown_without_its_literals(
    planner: Planner, world: World, text: bytes, shape: str
) -> None:
    planned = planner.plan(text, context_of(world))
    assert planned.rejection is not None
    assert planned.shape == shape


def test_a_flood_of_one_tenants_texts_leaves_what_another_has_planned(world: World) -> None:
    planner = Planner(world.catalog, 200_000)
    acme, globex = (replace(context_of(world), owner=Owner(name)) for name in ("acme", "globex"))
    own = [f"SELECT id AS a{number} FROM orders".encode() for number in range(10)]
    for text in own:
        planner.plan(text, acme)
    for number in range(200):
        planner.plan(f"SELECT id AS flood{number} FROM orders".encode(), globex)
    assert planner.statistics().evictions > 50
    assert all(planner.lookup(text, acme) is not None for text in own)
    assert all(planner.lookup(text, globex) is not None for text in own)  # whoever brought them
