"""Every method of SQLAlchemy's inspector answers as on a private database that has only what the rules show."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine.reflection import Inspector, ObjectKind

from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy
from tests.kit.sample import load_shown

TABLES = (
    "orders",
    "customers",
    "order_items",
    "products",
    "Order Details",
    "events",
    "vehicles",
    "mv_order_stats",
    "open_orders",
)
BY_TABLE = (
    "get_columns", "get_pk_constraint", "get_foreign_keys", "get_indexes", "get_unique_constraints",
    "get_check_constraints", "get_table_comment", "get_table_options", "has_table",
)  # fmt: skip
BY_SCHEMA = (
    "get_table_names", "get_view_names", "get_materialized_view_names", "get_sequence_names", "get_temp_table_names",
    "get_temp_view_names", "get_foreign_table_names", "get_enums", "get_domains", "get_sorted_table_and_fkc_names",
)  # fmt: skip
MULTI = tuple(name for name in dir(Inspector) if name.startswith("get_multi_"))
# of serial columns; the sample rules hide them
HIDDEN_SEQUENCES = {"accounts_id_seq", "audit_log_id_seq", "transfers_id_seq"}
# schemas, and what is asked with further arguments below
OTHERS = {
    "get_schema_names",
    "has_index",
    "has_schema",
    "has_sequence",
    "has_multi_table",
    "get_view_definition",
    "get_table_oid",
}


def plain(value: Any) -> Any:
    """Without identities of objects: types as SQL text, sets and dicts in order."""
    match value:
        case dict():
            return sorted(((str(key), plain(one)) for key, one in value.items()), key=lambda pair: pair[0])
        case list() | tuple():
            found = [plain(one) for one in value]
            return sorted(found, key=repr)
        case sa.types.TypeEngine():
            return repr(value)
        case str() | int() | float() | None:
            return value
        case _:
            return str(value)


def asked(url: str, ask: Callable[[Inspector], Any]) -> Any:
    engine = sa.create_engine(url)
    try:
        return plain(ask(sa.inspect(engine)))
    finally:
        engine.dispose()


@pytest.fixture(scope="module")
def urls(shared_server: Cluster, proxy: Proxy) -> tuple[str, str]:
    shown = shared_server.dsn("app", load_shown(shared_server)).replace("postgresql:", "postgresql+psycopg:")
    return proxy.dsn("acme_app", "postgresql+psycopg"), shown


def test_each_method_of_the_inspector_is_among_those_that_are_compared() -> None:
    methods = {
        name for name, _ in inspect.getmembers(Inspector, inspect.isfunction) if name.startswith(("get_", "has_"))
    }
    assert methods - {*BY_TABLE, *BY_SCHEMA, *MULTI, *OTHERS} == set()


@pytest.mark.parametrize("method", BY_TABLE)
def test_what_is_asked_of_a_table(urls: tuple[str, str], method: str) -> None:
    seen, private = (asked(url, lambda found: [getattr(found, method)(table) for table in TABLES]) for url in urls)
    assert seen == private


@pytest.mark.parametrize("method", BY_SCHEMA)
@pytest.mark.parametrize("schema", [None, "public", "pg_catalog", "nowhere"])
def test_what_is_asked_of_a_schema(urls: tuple[str, str], method: str, schema: str | None) -> None:
    def ask(found: Inspector) -> Any:
        arguments = () if method.startswith("get_temp") else (schema,)
        names = getattr(found, method)(*arguments)
        return [name for name in names if name not in HIDDEN_SEQUENCES] if method == "get_sequence_names" else names

    seen, private = (asked(url, ask) for url in urls)
    assert seen == private


@pytest.mark.filterwarnings("ignore:Did not recognize type")  # the sample has types that SQLAlchemy does not know
@pytest.mark.parametrize("method", MULTI)
def test_what_is_asked_of_many_tables(urls: tuple[str, str], method: str) -> None:
    def ask(found: Inspector) -> Any:
        answer = getattr(found, method)(kind=ObjectKind.ANY)
        # the options of transfers' identity column are those of its sequence, which is hidden
        return {key: value for key, value in answer.items() if (method, key[1]) != ("get_multi_columns", "transfers")}

    seen, private = (asked(url, ask) for url in urls)
    assert seen == private


def test_what_else_is_asked(urls: tuple[str, str]) -> None:
    def ask(found: Inspector) -> Any:
        return [
            found.get_schema_names(),
            found.has_schema("public"),
            found.has_schema("nowhere"),
            found.has_sequence("invoice_no_seq"),
            found.has_sequence("nothing"),
            found.has_index("orders", "orders_placed_ix"),
            found.has_index("orders", "nothing"),
            found.has_multi_table(["orders", "nothing"]),
            found.get_view_definition("open_orders"),
            found.get_view_definition("mv_order_stats"),
        ]

    seen, private = (asked(url, ask) for url in urls)
    assert seen == private
