"""Calls that reach what tenants share get a hash of the tenant's seed, and fail as they would have failed."""

from __future__ import annotations

import hashlib

import pytest

from proxy.sql.mapped import ARITIES, LOCKS, fits, map_calls
from proxy.sql.nodes import Nodes
from proxy.sql.plan import Forward, PlanContext, Planned, Reject
from proxy.sql.planner import Planner
from proxy.sql.render import fill, render
from proxy.sql.world import World
from proxy.tenancy.derived import LISTENING, SEED
from tests.kit.postgres import Cluster
from tests.kit.rawclient import Exchange, RawClient
from tests.sql.worlds import keys_of, one_statement


def planned(world: World, sql: str) -> Planned:
    context = PlanContext(world.policy, world.catalog.version, role="app")
    return Planner(world.catalog, 0).plan(sql.encode(), context)


def sent(world: World, sql: str, tenant: int = 1, listening: str = "{}") -> str:
    """What the server gets for a tenant."""
    done = planned(world, sql)
    (plan,) = done.plans
    assert isinstance(plan, Forward), plan
    return fill(plan.template, {**keys_of(tenant), LISTENING: listening}, done.literals).decode()


def refused(world: World, sql: str) -> Reject:
    (plan,) = planned(world, sql).plans
    assert isinstance(plan, Reject)
    return plan


@pytest.fixture
def client(postgres15: Cluster, sample_port: int) -> RawClient:
    return RawClient("127.0.0.1", sample_port, "app", "shared")


def locked(client: RawClient) -> set[tuple[bytes | None, ...]]:
    """The advisory locks of this connection: (classid, objid, objsubid)."""
    text = "SELECT classid, objid, objsubid FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
    return set(client.simple(text).rows)


def number(text: str) -> tuple[bytes, ...]:
    """What pg_locks shows of the lock with the first 64 bits of this text's SHA-256 as its number."""
    digest = hashlib.sha256(text.encode()).digest()[:8]
    return tuple(str(int.from_bytes(part)).encode() for part in (digest[:4], digest[4:], b"\1"))


def test_a_lock_is_taken_on_the_hash_of_the_seed_and_the_key_whatever_the_type_of_the_key(
    world: World, client: RawClient
) -> None:
    seed = keys_of(1)[SEED]
    asked = {
        "42": "l42", "-42": "l-42", "42::int2": "l42", "'42'": "l42", "9223372036854775807": "l9223372036854775807",
        "-9223372036854775808": "l-9223372036854775808", "1, 2": "p1 2", "-1, '2'": "p-1 2", "12, 2": "p12 2",
    }  # fmt: skip
    with client:
        for keys, text in asked.items():
            client.simple("BEGIN")
            assert client.simple(sent(world, f"SELECT pg_advisory_xact_lock({keys})")).errors == []
            assert locked(client) == {number(seed + text)}, keys
            client.simple("ROLLBACK")


def test_no_two_tenants_and_no_two_key_spaces_share_a_lock(world: World, client: RawClient) -> None:
    calls = ("42", "0, 42", "4, 2", "42, 0")
    with client:
        client.simple("BEGIN")
        for tenant in (1, 2, 3):
            for keys in calls:
                client.simple(sent(world, f"SELECT pg_advisory_xact_lock({keys})", tenant))
        assert len(locked(client)) == 3 * len(calls)


def test_a_key_from_a_row_or_that_is_null_does_what_it_did(world: World, client: RawClient) -> None:
    with client:
        client.simple("BEGIN")
        assert client.simple(sent(world, "SELECT pg_try_advisory_xact_lock(NULL)")).rows == [(None,)]
        rows = client.simple(sent(world, "SELECT pg_try_advisory_xact_lock(id) FROM products")).rows
        assert rows
        assert len(locked(client)) == len(rows)
        for keys in ("'abc'", "'99999999999', 1"):
            client.simple("ROLLBACK; BEGIN")
            plain = client.simple(f"SELECT pg_advisory_xact_lock({keys})")
            client.simple("ROLLBACK")
            mapped = client.simple(sent(world, f"SELECT pg_advisory_xact_lock({keys})"))
            assert [(one["C"], one["M"]) for one in mapped.errors] == [(one["C"], one["M"]) for one in plain.errors]


def test_a_channel_is_the_hash_of_the_seed_and_the_name(world: World, client: RawClient) -> None:
    seed = keys_of(1)[SEED]
    with client:
        for name in ("jobs", "Jobs", "a'b", "x" * 63, "ä" * 31, " "):
            mapped = "pw_" + hashlib.sha256(f"{seed}c{name}".encode()).hexdigest()[:60]
            client.simple(f'LISTEN "{mapped}"')
            heard = client.simple(sent(world, "SELECT pg_notify('{}', 'told')".format(name.replace("'", "''"))))
            (told,) = [one.body[4:] for one in heard.messages if one.tag == "A"]
            assert told == mapped.encode() + b"\0told\0"


@pytest.mark.parametrize("channel", ["NULL", "''", "repeat('x', 64)", "repeat('ä', 32)", "repeat('x', 63)"])
@pytest.mark.parametrize("payload", ["NULL", "'p'", "repeat('x', 7999)", "repeat('x', 8000)"])
def test_channels_and_payloads_have_postgresqls_limits(
    world: World, client: RawClient, channel: str, payload: str
) -> None:
    text = f"SELECT pg_notify({channel}, {payload})"

    def outcome(exchange: Exchange) -> object:
        return [(one["C"], one["M"]) for one in exchange.errors], exchange.rows, exchange.tags

    with client:
        assert outcome(client.simple(sent(world, text))) == outcome(client.simple(text))


def test_the_mapped_call_has_the_parameters_of_the_clients(world: World, client: RawClient) -> None:
    with client:
        for text in (
            "SELECT pg_notify($1, $2)",
            "SELECT pg_advisory_xact_lock($1)",
            "SELECT pg_try_advisory_xact_lock($1, $2)",
        ):
            described = []
            for one in (text, sent(world, text)):
                client.send("P", b"\0" + one.encode() + b"\0\0\0")
                client.send("D", b"S\0")
                client.send("S")
                described.append([m.body for m in client.collect().messages if m.tag in "tT"])
            assert described[0] == described[1]


def test_the_sessions_own_number_and_channels_are_put_in_under_the_names_they_had(
    world: World, client: RawClient
) -> None:
    with client:
        client.simple("LISTEN unmapped")  # what the server has is not asked
        for text, rows in {
            "SELECT pg_backend_pid(), pg_backend_pid()::text, pg_backend_pid() AS x": [(b"101", b"101", b"101")],
            "SELECT * FROM pg_backend_pid()": [(b"101",)],
            "SELECT CASE WHEN false THEN 1 ELSE pg_backend_pid() END": [(b"101",)],
            "SELECT pg_listening_channels()": [(b"other",), (b"own",)],
            "SELECT * FROM pg_listening_channels() AS c WHERE c > 'othes'": [(b"own",)],
            "SELECT (SELECT pg_backend_pid()), count(pg_backend_pid())": [(b"101", b"1")],
        }.items():
            found = client.simple(sent(world, text, listening='{"other","own"}'))
            plain = client.simple(text)
            columns = [[one.body.split(b"\0")[1] for one in each.messages if one.tag == "T"] for each in (found, plain)]
            assert found.rows == rows
            assert columns[0] == columns[1]


def test_a_volatile_channel_is_refused_because_it_is_looked_at_more_than_once(world: World) -> None:
    assert refused(world, "SELECT pg_notify('c' || random(), 'x')").sqlstate == "0A000"
    assert "pg_notify" in sent(world, "SELECT pg_notify('c' || lower(note), random()::text) FROM orders")


@pytest.mark.parametrize(
    ("call", "types"),
    [
        ("pg_notify('a')", "unknown"),
        ("pg_notify(1, 'a')", "integer, unknown"),
        ("pg_notify('a', 2)", "unknown, integer"),
        ("pg_advisory_lock()", ""),
        ("pg_advisory_lock(1.5)", "numeric"),
        ("pg_advisory_lock(true)", "boolean"),
        ("pg_backend_pid(1)", "integer"),
        ("pg_advisory_xact_lock(1, 2, 3)", "integer, integer, integer"),
    ],
)
def test_a_call_that_does_not_exist_is_answered_as_postgresql_answers(
    world: World, client: RawClient, call: str, types: str
) -> None:
    found = refused(world, f"SELECT {call}")
    with client:
        (plain,) = client.simple(f"SELECT {call}").errors
    assert (found.sqlstate, found.message, found.hint) == (plain["C"], plain["M"], plain["H"])
    assert found.message.endswith(f"({types}) does not exist")


def test_only_what_a_session_keeps_pins_its_connection(world: World) -> None:
    def pins(sql: str) -> str | None:
        (plan,) = planned(world, sql).plans
        assert isinstance(plan, Forward)
        return plan.effects.pins

    assert pins("SELECT pg_advisory_lock(1)") == "advisory_lock"
    assert pins("UPDATE orders SET qty = qty WHERE pg_try_advisory_lock_shared(id)") == "advisory_lock"
    assert pins("INSERT INTO notes (id, body) VALUES (1, 'x') RETURNING pg_try_advisory_lock(1)") == "advisory_lock"
    assert pins("SELECT setseed(0.5)") == pins("SELECT pg_advisory_lock(1), setseed($1)") == "setseed"
    assert pins("SELECT pg_advisory_xact_lock(1), pg_advisory_unlock(1), pg_notify('a', 'b')") is None


def test_every_lock_function_of_the_server_is_known_with_its_numbers_of_arguments(world: World) -> None:
    found = {
        name: tuple(sorted({len(one.arguments) for one in many}))
        for name, many in world.catalog.functions.items()
        if "advisory" in name
    }
    assert found == {name: ARITIES[name] for name in {*LOCKS, "pg_advisory_unlock_all"}}
    assert fits("pg_advisory_lock", [{"A_Const": {"fval": {"fval": "3000000000"}}}])
    assert not fits("pg_advisory_lock", [{"A_Const": {"fval": {"fval": "3000000000"}}}, {"A_Const": {"ival": {}}}])


def test_mapping_copies_and_a_tree_without_such_calls_is_left_as_it_is(world: World) -> None:
    tree = one_statement(world, "SELECT pg_notify('a', 'b')").tree
    before = repr(tree)
    mapped = map_calls(Nodes(tree), world)
    assert mapped.acted
    assert repr(tree) == before
    assert "pw_" in render(mapped.tree).text
    plain = one_statement(world, "SELECT lower('a')").tree
    assert map_calls(Nodes(plain), world).tree is plain
