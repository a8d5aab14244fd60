"""Names of scheduled archives: safe whatever a tenant is called, and read back to what they were made of."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from proxy.backup.labels import Label, label_of, root_of, spelt, standing

BEGUN = int(datetime(2026, 11, 26, 2, 0, 7, tzinfo=UTC).timestamp())
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


def test_a_name_tells_tenant_database_and_time() -> None:
    label = Label("acme", "shop", BEGUN, sealed=True)
    assert label.name == "acme.shop.20261126T020007Z.partywall.age"
    assert label.within("/b/{tenant}/{year}-{month}/{day}") == "/b/acme/2026-11/26"
    assert Label("../x y", "a.b", BEGUN, sealed=False).name == "~2E~2E~2Fx~20y.a~2Eb.20261126T020007Z.partywall"


@given(NAMES, NAMES, st.integers(0, 4_000_000_000), st.booleans())
def test_every_name_is_a_plain_one_and_is_read_back(tenant: str, database: str, begun: int, sealed: bool) -> None:
    label = Label(tenant, database, begun, sealed)
    assert re.fullmatch(r"[A-Za-z0-9_~.-]+", label.name)
    assert label_of(label.name, tenant, database) == label
    assert label_of(label.name, f"{tenant}x", database) is None
    assert label_of(label.name, tenant, f"{database}.") is None


@given(NAMES, NAMES)
def test_two_tenants_are_never_spelt_alike(one: str, other: str) -> None:
    assert (spelt(one) == spelt(other)) is (one == other)


def test_what_is_not_ours_is_no_label() -> None:
    for name in (
        "acme.shop.partywall",
        "acme.shop.20261126T020007Z.partywall.readback",
        "acme.shop.20261326T020007Z.partywall",
        "my.acme.shop.20261126T020007Z.partywall",
        ".acme.shop.20261126T020007Z.partywall.77.partial",
    ):
        assert label_of(name, "acme", "shop") is None


def test_the_root_is_the_folder_that_all_archives_of_a_tenant_are_in() -> None:
    assert root_of("/b/{tenant}", "a.c", "d") == ("/b/a~2Ec", False)
    assert root_of("s3://b/{year}/{tenant}", "a", "d") == ("s3://b", True)
    assert root_of("/b/{tenant}/x{month}", "a", "d") == ("/b/a", True)
    assert root_of("/{year}/{tenant}", "a", "d") == ("/", True)
    assert (standing("/b/c{tenant}/x"), standing("/{tenant}"), standing("/b")) == ("/b", "/", "/b")
