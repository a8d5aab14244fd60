"""The catalog's picture: lookups agree with what was read, and nothing in it can be changed."""

from __future__ import annotations

import pickle
from dataclasses import FrozenInstanceError

import pytest

from proxy.catalog.model import Catalog
from tests.kit.postgres import Cluster
from tests.kit.sample import load_sample
from tests.sql.worlds import sample_catalog


@pytest.fixture(scope="module")
def catalog(postgres15: Cluster) -> Catalog:
    return sample_catalog(load_sample(postgres15).port)


def test_a_column_is_found_by_its_exact_name_only(catalog: Catalog) -> None:
    details = catalog.relations["public", "Order Details"]
    found = details.column("TenantId")
    assert found is not None
    assert details.columns[found.number - 1] is found
    assert details.column("tenantid") is None
    assert details.column("ctid") is None


def test_every_lookup_by_oid_and_by_name_leads_to_the_same_object(catalog: Catalog) -> None:
    assert {one.oid for one in catalog.relations.values()} == set(catalog.relations_by_oid)
    assert all(catalog.relations[one.schema, one.name] is one for one in catalog.relations_by_oid.values())
    assert all(catalog.types[one.oid] is one for one in catalog.types_by_name.values())
    assert len(catalog.types_by_name) == len(catalog.types)
    assert all(one in catalog.functions[one.name] for one in catalog.functions_by_oid.values())
    assert sum(map(len, catalog.functions.values())) == len(catalog.functions_by_oid)


def test_the_major_version_is_the_leading_part_of_the_number(catalog: Catalog) -> None:
    assert catalog.major == 15
    assert catalog.server_version // 10000 == 15


def test_a_picture_cannot_be_changed_after_it_was_taken(catalog: Catalog) -> None:
    orders = catalog.relations["public", "orders"]
    with pytest.raises(FrozenInstanceError):
        orders.name = "other"  # type: ignore[misc]  # the point of the test
    with pytest.raises(FrozenInstanceError):
        catalog.version = 2  # type: ignore[misc]  # the point of the test


def test_a_picture_travels_without_what_was_looked_up_by_it(catalog: Catalog) -> None:
    before = pickle.dumps(catalog)
    assert catalog.functions_by_oid
    assert catalog.own_operators is not None
    assert len(pickle.dumps(catalog)) == len(before)
    travelled = pickle.loads(before)
    assert travelled == catalog
    assert "functions_by_oid" not in vars(travelled)
    assert set(travelled.functions_by_oid) == set(catalog.functions_by_oid)
