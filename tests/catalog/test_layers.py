"""A tenant's picture in two layers is the one that a single reading makes, and holds nothing of its neighbours."""

from __future__ import annotations

import pickle
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.catalog.connect import connect
from proxy.catalog.introspect import introspect, read_part
from proxy.catalog.layers import Layered, LayeredCatalog, layered
from proxy.catalog.model import Catalog
from proxy.tenancy.policy import Credentials, Server
from tests.kit.postgres import Cluster
from tests.kit.schemas import load_schemas

if TYPE_CHECKING:
    from proxy.catalog.connect import CatalogConnection

MAPPINGS = ("relations", "types", "functions", "operators", "casts", "collations")
DERIVED = ("relations_by_oid", "types_by_name", "collations_by_name", "functions_by_oid", "own_operators",
           "built_in_operators")  # fmt: skip
PLAIN = (
    "server_version",
    "database",
    "ordering_operators",
    "ordering_names",
    "schemas",
    "extensions",
    "major",
    "bypassing",
)
NUMBERS = st.dictionaries(st.integers(0, 9), st.integers())


@given(NUMBERS, NUMBERS)
def test_own_entries_go_before_shared_ones_however_it_is_asked(own: dict[int, int], shared: dict[int, int]) -> None:
    both, plain = Layered(own, shared), {**shared, **own}
    assert both == plain
    assert sorted(both) == sorted(plain)
    assert len(both) == len(plain)
    assert sorted(both.items()) == sorted(plain.items())
    for key in range(11):
        assert (key in both) is (key in plain)
        assert both.get(key, "none") == plain.get(key, "none")
    with pytest.raises(KeyError):
        both[10]


@pytest.fixture
async def connection(postgres15: Cluster) -> AsyncIterator[CatalogConnection]:
    """As one of the tenants; whose login it is makes no difference."""
    load_schemas(postgres15)
    opened = await connect(Server("127.0.0.1", postgres15.port, "beside", "initech_rw"), Credentials(tls="disable"))
    yield opened
    await opened.close()


async def in_layers(connection: CatalogConnection, schema: str) -> LayeredCatalog:
    shared = await introspect(connection, 1, schemas=("reference",))
    return layered(shared, await read_part(connection, schema, shared), 7)


def everything(catalog: Catalog) -> dict[str, Any]:
    found: dict[str, Any] = {name: dict(getattr(catalog, name)) for name in (*MAPPINGS, *DERIVED)}
    return found | {name: getattr(catalog, name) for name in PLAIN}


@pytest.mark.parametrize("schema", ["acme", "globex"])
async def test_two_layers_are_the_same_picture_as_one_reading(connection: CatalogConnection, schema: str) -> None:
    whole, found = await introspect(connection, 7, schemas=(schema, "reference")), await in_layers(connection, schema)
    expected, layers = everything(whole), everything(found)
    for name in expected:
        assert layers[name] == expected[name], name
    assert found.version == 7
    own = found.own
    assert own is not None
    assert own.present
    assert own.functions  # or this would show little
    assert any(one.checked for one in own.types.values())


async def test_no_picture_has_a_name_of_another_tenants_schema(connection: CatalogConnection) -> None:
    found = await in_layers(connection, "acme")
    schemas = {"pg_catalog", "information_schema", "acme", "reference"}
    assert {one.schema for one in found.relations.values()} <= schemas
    assert {one.schema for one in found.types.values()} <= schemas
    assert {one.schema for many in found.functions.values() for one in many} <= schemas
    assert {one.schema for many in found.operators.values() for one in many} <= schemas
    assert found.schemas == schemas


async def test_what_is_shared_is_in_memory_once(connection: CatalogConnection) -> None:
    shared = await introspect(connection, 1, schemas=("reference",))
    one, other = [layered(shared, await read_part(connection, name, shared), 2) for name in ("acme", "globex")]
    assert one.types[23] is other.types[23]
    assert one.built_in_operators is other.built_in_operators
    assert one.relations["acme", "orders"] is not None
    assert ("acme", "orders") not in other.relations


async def test_a_picture_is_pickled_with_both_its_layers(connection: CatalogConnection) -> None:
    found = await in_layers(connection, "acme")
    again = pickle.loads(pickle.dumps(found))
    assert isinstance(again, LayeredCatalog)
    assert everything(again) == everything(found)


async def test_a_schema_that_is_not_there_is_no_schema(connection: CatalogConnection) -> None:
    found = await in_layers(connection, "nowhere")
    assert "nowhere" not in found.schemas
    assert isinstance(found.relations, Mapping)
    assert not [one for one in found.relations.values() if one.schema == "nowhere"]
