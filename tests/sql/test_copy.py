"""What becomes of a COPY: to the client a query that is confined, from it rows that the server asks about."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.catalog.model import Column
from proxy.errors import FeatureNotSupported
from proxy.sql.copied import CopyIn, CopyOut
from proxy.sql.copy import format_of
from proxy.sql.parse import parse
from proxy.sql.plan import Forward, PlanContext, Reject, Temporary
from proxy.sql.planner import Planner
from proxy.sql.world import World
from proxy.tenancy.policy import Policy
from proxy.tenancy.rulebook import classified
from proxy.wire.copyformat import CopyFormat
from tests.sql.worlds import keys_of, sample_policy

KEY = "OPERATOR(pg_catalog.=) '1'::int"
CSV = CopyFormat("csv", b",", markers=(b"",))


def planned(world: World, text: str, major: int = 15, policy: Policy | None = None) -> tuple[str, Forward]:
    """The text that is sent for tenant 1, and its plan."""
    planner = Planner(replace(world.catalog, server_version=major * 10000), 1 << 20)
    made = planner.plan(text.encode(), PlanContext(classified(policy or sample_policy()), 1))
    (plan,) = made.plans
    assert isinstance(plan, Forward), plan
    return planner.explain_text(made, keys_of(1))[0], plan


def refused(world: World, text: str, major: int = 15, policy: Policy | None = None) -> Reject:
    planner = Planner(replace(world.catalog, server_version=major * 10000), 1 << 20)
    (plan,) = planner.plan(text.encode(), PlanContext(classified(policy or sample_policy()), 1)).plans
    assert isinstance(plan, Reject), plan
    return plan


def rows(plan: Forward) -> CopyIn:
    assert isinstance(plan.copy, CopyIn)
    return plan.copy


def test_a_table_is_copied_as_a_confined_query_of_its_stored_columns(world: World) -> None:
    text, plan = planned(world, "COPY users (id, name) TO STDOUT WITH CSV HEADER FORCE QUOTE name")
    expected = f"COPY (SELECT id, name FROM ONLY public.users WHERE users.tenant_id {KEY}) TO STDOUT"
    assert text == expected + " CSV HEADER FORCE QUOTE name"
    assert plan.copy == CopyOut()
    generated = [one.name for one in world.catalog.relations["public", "orders"].columns if one.generated]
    assert generated
    assert not any(one in planned(world, "COPY orders TO STDOUT")[0] for one in generated)


def test_a_query_is_confined_inside_and_options_stay(world: World) -> None:
    text, plan = planned(world, "COPY (SELECT secret FROM orders) TO STDOUT (DELIMITER '|', NULL 'x')")
    expected = f"COPY (SELECT secret FROM public.orders WHERE orders.tenant_id {KEY}) TO STDOUT"
    assert text == expected + " WITH (DELIMITER '|', NULL 'x')"
    assert plan.copy == CopyOut()
    text, _ = planned(world, "COPY (DELETE FROM orders RETURNING id) TO STDOUT")
    assert text == f"COPY (DELETE FROM public.orders WHERE orders.tenant_id {KEY} RETURNING id) TO STDOUT"


def test_shared_tables_and_catalogs_are_copied_to_the_client(world: World) -> None:
    assert planned(world, "COPY categories TO STDOUT")[0].endswith("FROM ONLY public.categories) TO STDOUT")
    assert "OFFSET 0) pg_namespace) TO STDOUT" in planned(world, "COPY pg_namespace TO STDOUT")[0]


def test_rows_without_the_tenant_column_get_it_first_and_the_server_asks_about_it(world: World) -> None:
    text, plan = planned(world, "COPY customers (id, name) FROM STDIN WITH (FORMAT csv, HEADER match) WHERE id > 3")
    assert text == (
        "COPY public.customers(tenant_id, id, name) FROM STDIN WITH (FORMAT CSV, HEADER match) "
        f"WHERE CASE WHEN customers.tenant_id {KEY} THEN true ELSE ('row of another tenant: ' "
        "OPERATOR(pg_catalog.||) COALESCE(customers.tenant_id::pg_catalog.text, ''))::boolean END AND id > 3"
    )
    assert rows(plan) == CopyIn("customers", 2, replace(CSV, header="match"), "tenant_id", "default", "int4")
    assert plan.effects.writes


def test_rows_that_have_the_tenant_column_are_asked_about_and_not_touched(world: World) -> None:
    text, plan = planned(world, "COPY notes FROM STDIN (ENCODING 'latin1')")
    assert text.startswith(
        "COPY public.notes(tenant, id, body, author, updated_at) FROM STDIN WITH (ENCODING 'latin1')"
    )
    assert "CASE WHEN notes.tenant OPERATOR(pg_catalog.=) 'acme'::pg_catalog.text THEN true ELSE" in text
    assert not rows(plan).supplied
    assert planned(world, "COPY customers (id, tenant_id, name) FROM STDIN BINARY")[0].startswith(
        "COPY public.customers(id, tenant_id, name) FROM STDIN WITH (FORMAT BINARY) WHERE CASE"
    )


def test_a_star_in_the_options_means_the_columns_that_the_client_sends(world: World) -> None:
    text, _ = planned(world, "COPY customers (id, name) FROM STDIN (FORMAT csv, FORCE_NULL *, FORCE_NOT_NULL *)", 17)
    assert "FORCE_NULL (id, name), FORCE_NOT_NULL (id, name)" in text


FILE = "must be superuser or have privileges of the pg_{} role to COPY "
UNPROVABLE = "0A000"
REFUSED = [
    ("COPY nosuch TO STDOUT", 15, "42P01", 'relation "nosuch" does not exist'),
    ("COPY public.nosuch FROM STDIN", 15, "42P01", 'relation "public.nosuch" does not exist'),
    ("COPY other.public.orders TO STDOUT", 15, UNPROVABLE, "cross-database references are not implemented"),
    ("COPY orders TO '/tmp/x'", 15, "42501", FILE.format("write_server_files") + "to a file"),
    ("COPY orders FROM '/tmp/x'", 15, "42501", FILE.format("read_server_files") + "from a file"),
    ("COPY orders FROM '/tmp/x'", 16, "42501", "permission denied to COPY from a file"),
    ("COPY (SELECT 1) TO PROGRAM 'cat'", 18, "42501", "permission denied to COPY to or from an external program"),
    ("COPY (SELECT 1 INTO x) TO STDOUT", 15, UNPROVABLE, "COPY (SELECT INTO) is not supported"),
    ("COPY (SELECT set_config('a.b', 'c', false)) TO STDOUT", 15, UNPROVABLE, "this query is not supported in COPY"),
    ("COPY open_orders TO STDOUT", 15, "42809", 'cannot copy from view "open_orders"'),
    ("COPY mv_order_stats TO STDOUT", 17, "42809", 'cannot copy from materialized view "mv_order_stats"'),
    ("COPY events TO STDOUT", 15, "42809", 'cannot copy from partitioned table "events"'),
    ("COPY open_orders FROM STDIN", 15, "42809", 'cannot copy to view "open_orders"'),
    ("COPY mv_order_stats FROM STDIN", 18, "42809", 'cannot copy to materialized view "mv_order_stats"'),
    ("COPY products FROM STDIN", 15, "42501", "permission denied for table products"),
    ("COPY pg_class FROM STDIN", 15, "42501", "permission denied for table pg_class"),
    ("COPY orders (id, nope) FROM STDIN", 15, "42703", 'column "nope" of relation "orders" does not exist'),
    ("COPY orders (ctid) TO STDOUT", 15, "42703", 'column "ctid" of relation "orders" does not exist'),
    ("COPY orders (id, id) FROM STDIN", 15, "42701", 'column "id" specified more than once'),
    ("COPY orders (amount_cents) FROM STDIN", 15, "42P10", 'column "amount_cents" is a generated column'),
    ("COPY coupons FROM STDIN", 15, UNPROVABLE, 'the columns of key "coupons_pkey" of table "coupons" cannot be set'),
    ("COPY customers (id) FROM STDIN (FREEZE)", 15, UNPROVABLE, "COPY FREEZE is not supported"),
    ("COPY customers (id) FROM STDIN (on_error ignore)", 16, "42601", 'option "on_error" not recognized'),
    ("COPY customers (id) FROM STDIN (convert_selectively (id))", 18, "42601", 'option "convert_selectively" not'),
    ("COPY customers (id) FROM STDIN (ENCODING latin1)", 15, UNPROVABLE, "COPY FROM needs the encoding UTF8"),
    ("COPY customers (id) FROM STDIN (FORMAT csv, QUOTE E'\\n')", 15, UNPROVABLE, "COPY with a newline as QUOTE"),
    ("COPY customers (id) FROM STDIN WHERE id > (SELECT 1)", 15, UNPROVABLE, "cannot use subquery in COPY FROM WHERE"),
    ("COPY customers (id) FROM STDIN WHERE pg_read_file('x') = ''", 15, "42501", "permission denied for function"),
    ("COPY customers (id) FROM STDIN WHERE 'x'::regclass = 1", 15, "42P01", 'relation "x" does not exist'),
    (
        "COPY customers (id, name) FROM STDIN (FORMAT csv, FORCE_NULL (tenant_id))", 15, "42P10",
        'FORCE_NULL column "tenant_id" not referenced by COPY',
    ),
]  # fmt: skip


@pytest.mark.parametrize(("text", "major", "sqlstate", "message"), REFUSED, ids=lambda value: str(value)[:50])
def test_what_cannot_be_copied_is_refused_in_the_words_of_the_server(
    world: World, text: str, major: int, sqlstate: str, message: str
) -> None:
    plan = refused(world, text, major)
    assert plan.sqlstate == sqlstate
    assert plan.message.startswith(message)


def test_a_materialized_view_is_copied_where_the_server_can(world: World) -> None:
    assert (
        f"FROM public.mv_order_stats WHERE mv_order_stats.tenant_id {KEY}"
        in planned(world, "COPY mv_order_stats TO STDOUT", 18)[0]
    )


def test_who_may_only_read_copies_to_the_client_only(world: World) -> None:
    policy = replace(sample_policy(), read_only=True)
    assert refused(world, "COPY customers FROM STDIN", 15, policy).message.startswith(
        "cannot execute COPY FROM in a read"
    )
    assert refused(world, "COPY (DELETE FROM orders RETURNING id) TO STDOUT", 15, policy).sqlstate == "25006"
    assert planned(world, "COPY customers TO STDOUT", 15, policy)


@pytest.mark.parametrize(
    ("options", "major", "expected"),
    [
        ("", 15, CopyFormat()),
        ("(FORMAT text, DELIMITER '|', NULL 'x')", 18, CopyFormat(delimiter=b"|", markers=(b"x",), end_marker=False)),
        ("CSV", 15, CSV),
        ("CSV HEADER QUOTE 'q' ESCAPE 'e'", 15, replace(CSV, quote=b"q", escape=b"e", header="skip")),
        ("(FORMAT csv, QUOTE 'q', HEADER off)", 15, replace(CSV, quote=b"q", escape=b"q")),
        ("(FORMAT csv, HEADER 1, DEFAULT 'd')", 16, replace(CSV, header="skip", markers=(b"", b"d"))),
        ("(FORMAT csv, HEADER MATCH)", 16, replace(CSV, header="match")),
        ("BINARY", 15, CopyFormat("binary")),
        ("(ENCODING 'UTF-8')", 15, CopyFormat()),
        ("(FORMAT xml)", 15, None),
        ("(FORMAT csv, HEADER maybe)", 15, None),
        ("(FORMAT csv, HEADER 2)", 15, None),
        ("(DELIMITER 'ab')", 15, None),
        ("(DELIMITER '')", 15, None),
        ("(FORMAT csv, QUOTE 'é')", 15, None),
    ],
)
def test_options_are_read_as_the_server_reads_them(options: str, major: int, expected: CopyFormat | None) -> None:
    text = f"COPY t FROM STDIN {options}" if options != "BINARY" else "COPY BINARY t FROM STDIN"
    (statement,) = parse(text.encode(), size_limit=1 << 10, server_major=18)
    given = {one["DefElem"]["defname"]: one["DefElem"] for one in statement.tree["CopyStmt"].get("options", ())}
    assert format_of(given, major) == expected


def test_another_encoding_is_read_by_nobody() -> None:
    (statement,) = parse(b"COPY t FROM STDIN (ENCODING sjis)", size_limit=1 << 10, server_major=18)
    (option,) = statement.tree["CopyStmt"]["options"]
    with pytest.raises(FeatureNotSupported):
        format_of({"encoding": option["DefElem"]}, 15)


def test_texts_of_one_shape_keep_their_own_options_and_values(world: World) -> None:
    planner, context = Planner(world.catalog, 1 << 20), PlanContext(classified(sample_policy()), 1)

    def ask(text: str) -> tuple[str, Forward]:
        made = planner.lookup(text.encode(), context) or planner.plan(text.encode(), context)
        (plan,) = made.plans
        assert isinstance(plan, Forward)
        return planner.explain_text(made, keys_of(1))[0], plan

    for _ in range(2):
        for one in ("|", ";"):
            for null in ("a", "b"):
                text, plan = ask(
                    f"COPY customers (id, name) FROM STDIN (DELIMITER '{one}', NULL '{null}') WHERE id > 3"
                )
                assert f"DELIMITER '{one}', NULL '{null}'" in text
                assert rows(plan).format == CopyFormat(delimiter=one.encode(), markers=(null.encode(),))
        for number in (5, 7):
            text, _ = ask(f"COPY (SELECT id FROM orders WHERE id = {number}) TO STDOUT (DELIMITER '|')")
            assert f"AND id = {number}) TO STDOUT WITH (DELIMITER '|')" in text
            text, plan = ask(
                f"COPY customers (id, name) FROM STDIN (FORMAT csv, HEADER {number % 3 % 2}) WHERE id > {number}"
            )
            assert f"AND id > {number}" in text
            assert rows(plan).format == replace(CSV, header="skip" if number % 3 % 2 else "")


def test_an_own_temporary_table_is_copied_without_a_question(world: World) -> None:
    planner = Planner(world.catalog, 1 << 20)
    columns = (Column(1, "a", 23), Column(2, "b", 25))
    for known, star in ((columns, "a, b"), (None, "*")):
        context = PlanContext(classified(sample_policy()), 1, temporary=(Temporary("orders", known),))
        texts = [
            planner.explain_text(planner.plan(text.encode(), context), keys_of(1))[0]
            for text in (
                "COPY orders TO STDOUT",
                "COPY orders (b) FROM STDIN CSV WHERE a > 1",
                "COPY pg_temp.orders FROM STDIN",
            )
        ]
        assert texts == [
            f"COPY (SELECT {star} FROM ONLY pg_temp.orders) TO STDOUT",
            "COPY pg_temp.orders(b) FROM STDIN CSV WHERE a > 1",
            "COPY pg_temp.orders FROM STDIN",
        ]


def test_what_must_be_mapped_to_the_tenant_is_not_called_for_rows(world: World) -> None:
    plan = refused(world, "COPY customers (id, name) FROM STDIN WHERE pg_try_advisory_lock(id)")
    assert (plan.sqlstate, plan.message) == ("0A000", "this function is not supported in COPY")


def test_a_column_whose_default_is_a_number_of_the_tenants_own_must_be_given(world: World) -> None:
    relation = world.catalog.relations["public", "customers"]
    columns = tuple(
        replace(one, default="nextval('own_no'::regclass)") if one.name == "id" else one for one in relation.columns
    )
    catalog = replace(
        world.catalog,
        relations={**world.catalog.relations, ("public", "customers"): replace(relation, columns=columns)},
    )
    policy = replace(sample_policy(), sequences={("public", "own_no"): "per_tenant"})
    other = World(policy, catalog)
    assert refused(other, "COPY customers (name) FROM STDIN", 15, policy).message.startswith(
        'COPY FROM needs the column "id"'
    )
    assert planned(other, "COPY customers (id, name) FROM STDIN", 15, policy)
