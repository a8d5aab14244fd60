"""What introspect reads from real servers, on the sample set and on objects made for a question."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from proxy.catalog.connect import connect
from proxy.catalog.introspect import fingerprint, introspect
from proxy.tenancy.policy import Credentials, Server
from tests.kit.postgres import Cluster

if TYPE_CHECKING:
    from proxy.catalog.connect import CatalogConnection


async def test_a_table_has_its_columns_in_order_with_types_defaults_and_generation(
    connection: CatalogConnection,
) -> None:
    orders = (await introspect(connection, 1)).relations["public", "orders"]
    assert [column.number for column in orders.columns] == list(range(1, 14))
    amount, generated = orders.column("amount"), orders.column("amount_cents")
    assert amount is not None
    assert generated is not None
    assert (amount.type, amount.typmod, amount.not_null, amount.default) == (1700, 786438, True, "0")
    assert generated.generated == "s"
    assert generated.default == "((amount * (100)::numeric))::bigint"
    assert (orders.kind, orders.owner, orders.triggers) == ("r", "app_owner", ("orders_audit",))


async def test_keys_and_foreign_keys_carry_their_columns(connection: CatalogConnection) -> None:
    catalog = await introspect(connection, 1)
    users = catalog.relations["public", "users"]
    assert {(key.name, key.kind, key.columns) for key in users.keys} == {
        ("users_pkey", "p", (1, 2)),
        ("users_tenant_id_email_key", "u", (1, 3)),
    }
    own = next(key for key in users.foreign_keys if key.references == users.oid)
    assert (own.columns, own.referenced_columns) == ((1, 7), (1, 2))
    items = catalog.relations["public", "order_items"]
    assert {key.on_delete for key in items.foreign_keys} == {"c", "a"}


async def test_an_exclusion_counts_only_columns_compared_by_equality(connection: CatalogConnection) -> None:
    bookings = (await introspect(connection, 1)).relations["public", "bookings"]
    assert [(key.kind, key.columns) for key in bookings.keys] == [("x", (0,))]


async def test_partitions_and_children_know_their_parents(connection: CatalogConnection) -> None:
    catalog = await introspect(connection, 1)
    events, assets = catalog.relations["public", "events"], catalog.relations["public", "assets"]
    part, vehicles = catalog.relations["public", "events_2023"], catalog.relations["public", "vehicles"]
    assert (events.kind, part.is_partition, part.parents) == ("p", True, (events.oid,))
    assert (vehicles.is_partition, vehicles.parents) == (False, (assets.oid,))


async def test_system_schemas_are_read_without_the_texts_of_their_views(connection: CatalogConnection) -> None:
    catalog = await introspect(connection, 1)
    assert catalog.relations["pg_catalog", "pg_class"].column("relname") is not None
    assert catalog.relations["information_schema", "tables"].definition == ""
    assert "public.orders" in catalog.relations["public", "open_orders"].definition
    assert catalog.relations["pg_catalog", "pg_settings"].rules
    assert {"public", "pg_catalog", "information_schema"} <= catalog.schemas


async def test_types_say_what_they_are_made_of(connection: CatalogConnection) -> None:
    catalog = await introspect(connection, 1)
    named = catalog.types_by_name
    posint, address = named["public", "posint"], named["public", "addr"]
    assert (posint.kind, posint.base, posint.checked) == ("d", 23, True)
    assert address.relation == catalog.relations["public", "addr"].oid
    assert named["pg_catalog", "_int4"].element == 23
    assert named["pg_catalog", "point"].element == 0  # subscripted, but no array
    assert named["pg_catalog", "int4range"].subtype == named["pg_catalog", "int4multirange"].subtype == 23
    assert named["public", "order_status"].kind == "e"
    assert not any(one.checked for one in catalog.types.values() if one.kind != "d")


async def test_functions_operators_and_casts_have_their_properties(connection: CatalogConnection) -> None:
    catalog = await introspect(connection, 1)
    (secret,) = catalog.functions["order_secret"]
    assert (secret.security_definer, secret.returns_set, secret.arguments, secret.language) == (
        True,
        True,
        (23,),
        "sql",
    )
    (leak,) = catalog.functions["cheap_leak"]
    assert leak.cost < 1e-6
    assert catalog.functions["purge_cancelled"][0].kind == "p"
    equal = next(one for one in catalog.functions["int4eq"] if one.schema == "pg_catalog")
    assert (equal.leakproof, equal.strict, equal.volatility) == (True, True, "i")
    assert next(one for one in catalog.operators["="] if (one.left, one.right) == (23, 23)).function == equal.oid
    assert catalog.functions["concat"][0].variadic != 0
    assert max(one.defaults for one in catalog.functions["make_interval"]) == 7
    assert (catalog.casts[23, 20].context, catalog.casts[23, 20].method) == ("i", "f")
    assert {
        one.name for many in catalog.operators.values() for one in many if one.oid in catalog.ordering_operators
    } == {"<->"}


async def test_collations_say_whether_they_are_deterministic(connection: CatalogConnection) -> None:
    catalog = await introspect(connection, 1)
    assert catalog.collations_by_name["pg_catalog", "C"].deterministic
    # A server built without ICU has no other kind; the sample set makes do with POSIX there.
    icu = await connection.fetchval("SELECT collprovider = 'i' FROM pg_catalog.pg_collation WHERE collname = 'nd'")
    assert catalog.collations_by_name["public", "nd"].deterministic == (not icu)


async def test_what_a_plan_must_not_take_for_granted_is_not(
    shared_server: Cluster, pristine_shared: str, changing: CatalogConnection
) -> None:
    newest = shared_server.major >= 18
    shared_server.psql(
        pristine_shared,
        """
        CREATE TABLE t (tenant_id int4range, x int4range, y text,
                        EXCLUDE USING gist (tenant_id WITH =, x WITH &&));
        CREATE UNIQUE INDEX t_i ON t (tenant_id, lower(y)) INCLUDE (x) WHERE y > '';
        CREATE DOMAIN inner_d AS int NOT NULL; CREATE DOMAIN outer_d AS inner_d; CREATE DOMAIN free_d AS int;
        CREATE TYPE span AS RANGE (subtype = numeric);
        CREATE TABLE referenced (id int PRIMARY KEY) PARTITION BY RANGE (id);
        CREATE TABLE referenced_1 PARTITION OF referenced FOR VALUES FROM (0) TO (9);
        CREATE TABLE referencing (id int REFERENCES referenced);
        CREATE FUNCTION of_defaults(a int, OUT b int, c int DEFAULT 1, VARIADIC d int[] DEFAULT '{}') LANGUAGE sql AS
          'SELECT 1';
        """
        + ("CREATE VIEW careful WITH (security_invoker = on) AS SELECT 1 AS a;" if shared_server.major >= 15 else "")
        + (
            """
            CREATE TABLE late (tenant_id int); ALTER TABLE late ADD CONSTRAINT nn NOT NULL tenant_id NOT VALID;
            CREATE TABLE virtual (a int, b int GENERATED ALWAYS AS (a + 1) VIRTUAL);
            """
            if newest
            else ""
        ),
    )
    catalog = await introspect(changing, 1)
    keys = {key.name: key for key in catalog.relations["public", "t"].keys}
    assert keys["t_tenant_id_x_excl"].columns == (1, 0)
    assert (keys["t_i"].kind, keys["t_i"].columns, keys["t_i"].partial) == ("i", (1, 0), True)
    named = catalog.types_by_name
    assert [named["public", name].checked for name in ("inner_d", "outer_d", "free_d")] == [True, True, False]
    assert named["public", "span"].subtype == named["public", "span_multirange"].subtype
    assert len(catalog.relations["public", "referencing"].foreign_keys) == 1
    (function,) = catalog.functions["of_defaults"]
    assert (function.arguments, function.defaults, function.variadic) == ((23, 23, 1007), 2, 23)
    if shared_server.major >= 15:
        assert catalog.relations["public", "careful"].security_invoker
    if newest:
        late = catalog.relations["public", "late"].column("tenant_id")
        assert late is not None
        assert not late.not_null
        virtual = catalog.relations["public", "virtual"].column("b")
        assert virtual is not None
        assert virtual.generated == "v"


async def test_the_fingerprint_changes_with_the_schema_and_with_nothing_else(
    shared_server: Cluster, pristine_shared: str, changing: CatalogConnection
) -> None:
    before = await fingerprint(changing)
    shared_server.psql(pristine_shared, "INSERT INTO notes VALUES ('acme', 99, 'x'); ANALYZE notes")
    shared_server.psql(pristine_shared, "VACUUM notes")
    assert await fingerprint(changing) == before
    for change in (
        "ALTER TABLE notes ALTER body DROP NOT NULL",
        "ALTER TABLE notes RENAME author TO writer",
        "CREATE UNIQUE INDEX ON notes (id, tenant)",
        "CREATE OR REPLACE FUNCTION slugify(t text) RETURNS text LANGUAGE sql VOLATILE AS 'SELECT $1'",
        "CREATE OR REPLACE VIEW open_orders AS SELECT tenant_id, id, customer_id, amount, status FROM orders",
        "DROP TABLE notes",
    ):
        shared_server.psql(pristine_shared, change)
        after = await fingerprint(changing)
        assert after != before, change
        before = after


async def test_two_readings_of_the_same_schema_are_equal_and_quick(connection: CatalogConnection) -> None:
    first = await introspect(connection, 1)
    started = time.process_time()
    assert await introspect(connection, 1) == first
    assert time.process_time() - started < 1.0  # the aim is 0.15; a busy machine gets some grace


async def test_of_a_tenants_own_database_only_functions_and_types_are_read(connection: CatalogConnection) -> None:
    whole, own = await introspect(connection, 1), await introspect(connection, 1, own=True)
    assert own.relations == {}
    assert (own.functions, own.types, own.database) == (whole.functions, whole.types, whole.database)


SETTING = "set_config('work_mem', '77MB', false)"


@pytest.mark.parametrize(
    ("made", "stored"),
    [
        (f"CREATE VIEW v AS SELECT {SETTING}", {"set_config"}),
        ("CREATE VIEW v AS SELECT nextval('s'), lower('a') || 1 = 'b'", {"nextval"}),
        ("CREATE VIEW v AS SELECT * FROM pg_settings", {"set_config"}),
        (f"CREATE RULE r AS ON INSERT TO t DO ALSO SELECT {SETTING}", {"set_config"}),
        (f"CREATE RULE r AS ON INSERT TO t WHERE {SETTING} = 'a' DO NOTHING", {"set_config"}),
        (f"ALTER TABLE t ALTER b SET DEFAULT {SETTING}", {"set_config"}),
        ("ALTER TABLE t ALTER a SET DEFAULT nextval('s')", set()),
        (f"ALTER TABLE t ADD CHECK ({SETTING} = b)", {"set_config"}),
        (f"CREATE DOMAIN d AS int CHECK ({SETTING} = 'a')", {"set_config"}),
        (f"CREATE DOMAIN d AS text DEFAULT {SETTING}", {"set_config"}),
        (f"CREATE POLICY p ON t USING ({SETTING} = 'a')", {"set_config"}),
        (f"CREATE POLICY p ON t FOR INSERT WITH CHECK ({SETTING} = 'a')", {"set_config"}),
        (
            "CREATE TRIGGER g BEFORE UPDATE ON t FOR EACH ROW WHEN (pg_try_advisory_lock(1))"
            " EXECUTE FUNCTION suppress_redundant_updates_trigger()",
            {"pg_try_advisory_lock"},
        ),
        ("CREATE OPERATOR #### (FUNCTION = pg_advisory_lock, LEFTARG = int4, RIGHTARG = int4)", {"pg_advisory_lock"}),
        ("CREATE VIEW v AS SELECT lower(b), now(), 1::text FROM t WHERE a = 1", set()),
    ],
)
async def test_what_a_database_of_ones_own_has_stored_that_acts_is_known(
    shared_server: Cluster, made: str, stored: set[str]
) -> None:
    shared_server.psql(
        "postgres",
        f"CREATE SCHEMA storing; SET search_path = storing; CREATE TABLE t (a int, b text); CREATE SEQUENCE s; {made}",
    )
    try:
        server = Server("127.0.0.1", shared_server.port, "postgres", "app")
        opened = await connect(server, Credentials(tls="disable"))
        assert (await introspect(opened, 1, own=True)).stored_calls == stored
        assert (await introspect(opened, 1)).stored_calls == frozenset()
        await opened.close()
    finally:
        shared_server.psql("postgres", "DROP SCHEMA storing CASCADE")
