"""A rule book comes over whole, and what is equal in the book before stays the very object."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from proxy.fleet.pieces import PIECE, Joiner, split
from proxy.tenancy.load import load
from proxy.tenancy.rulebook import RuleBook
from tests.kit.builders import VERIFIER
from tests.kit.tokens import URL, key, key_set

MANY = PIECE + 3
DATABASE = "database: shop\nserver: postgresql://app@db:5433/shop\ntenant_column: tenant_id\n"
REST = f"issuer: {URL}\naudience: shop\nsuffix: '@example.com'\nkeys: '{key_set(key())}'\n"


def tenant(number: int, more: str = "") -> str:
    return (
        f'tenant: t{number}\nkey: {number}\ndatabases: [shop]\nlogins:\n  app{number}: {{verifier: "{VERIFIER}"}}\n'
        + more
    )


@pytest.fixture
def book(tmp_path: Path) -> RuleBook:
    """More tenants than a piece holds, one of them with a login that reads only and comes from an address."""
    return written(tmp_path)


def written(folder: Path, database: str = DATABASE, **more: str) -> RuleBook:
    """The book; more: lines of tenants by name."""
    texts = [database, REST, *(tenant(number, more.get(f"t{number}", "")) for number in range(MANY))]
    texts.append(
        "tenant: reader\nkey: r\ndatabases: [shop]\nlogins:\n  reader: {certificate: {dns: a}, read_only: true,"
        " allow_from: [10.0.0.0/8], valid_until: 2027-01-31 18:00:00+00:00}\n"
    )
    (folder / "rules.yaml").write_text("---\n".join(texts), encoding="utf-8")
    return load(folder, {}, 1)


def joined(before: RuleBook, book: RuleBook) -> RuleBook:
    """What comes of the book's pieces."""
    joiner = Joiner(before)
    *pieces, last = split(book)
    assert [joiner.take(one) for one in pieces] == [None] * len(pieces)
    whole = joiner.take(last)
    assert whole is not None
    return whole


def test_a_book_comes_over_as_it_was(book: RuleBook) -> None:
    empty = RuleBook(0, {}, {}, (), ())
    whole = joined(empty, book)
    assert whole == book
    assert list(whole.logins) == list(book.logins)
    assert whole.issuers[0].keys.as_dict() == book.issuers[0].keys.as_dict()  # == leaves them out
    assert len({id(one.policy) for one in whole.grants.values()}) == 2  # all logins', and those that read only


def test_what_did_not_change_stays_the_very_object(book: RuleBook, tmp_path: Path) -> None:
    fresh = written(tmp_path, t3="quotas: {connections: 3}\n")
    whole = joined(book, fresh)
    assert whole == fresh
    changed = {name for name, one in whole.grants.items() if one is not book.grants[name]}
    assert changed == {("t3", "shop", False)}
    assert whole.grants["t3", "shop", False].limits.connections == 3
    assert whole.grants["t3", "shop", False].policy is book.grants["t3", "shop", False].policy
    assert all(one is book.logins[name] for name, one in whole.logins.items())


def test_another_policy_is_taken_by_everybody(book: RuleBook, tmp_path: Path) -> None:
    whole = joined(book, written(tmp_path, DATABASE + "relations: {products: {shared: read}}\n"))
    assert all(one.policy.relations for one in whole.grants.values())
    assert len({id(one.policy) for one in whole.grants.values()}) == 2
    assert all(one is book.logins[name] for name, one in whole.logins.items())


def test_no_piece_is_large(book: RuleBook) -> None:
    """The first holds the policies; of the others none holds more than so many tenants."""
    assert len(list(split(book))) == 2 + 2 * 2  # logins and grants in two pieces each, and the rest


def test_an_unclassified_policy_is_nobodys_twin(book: RuleBook) -> None:
    """Two that have no class have an equal one: they are compared as well."""

    def unclassified(one: RuleBook, column: str) -> RuleBook:
        policy = replace(next(iter(one.grants.values())).policy, policy_class="", tenant_column=column)
        return replace(one, grants={name: replace(grant, policy=policy) for name, grant in one.grants.items()})

    whole = joined(unclassified(book, "a"), unclassified(book, "b"))
    assert {one.policy.tenant_column for one in whole.grants.values()} == {"b"}
