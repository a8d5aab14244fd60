"""What a masking file may say about tables, what follows from foreign keys, and every reason why it cannot be done."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.backup.covering import cover
from proxy.backup.masking import MaskingFile
from proxy.backup.pieces import altered
from proxy.backup.pseudonyms import Pseudonyms
from proxy.backup.refusal import Refused
from proxy.backup.selection import Kept
from proxy.catalog.model import Catalog, Column, ForeignKey, Key, Relation, Type

KEY = Pseudonyms(b"a key of sixteen and more", "acme")
TENANTS = Relation(
    1, "public", "tenants", "r",
    columns=(Column(1, "id", 23, not_null=True), Column(2, "slug", 25, not_null=True), Column(3, "title", 25)),
    keys=(Key("pk", "p", (1,)), Key("slug", "u", (2,))),
)  # fmt: skip
PEOPLE = Relation(
    2, "public", "people", "r",
    columns=(
        Column(1, "tenant", 25, not_null=True), Column(2, "id", 23, not_null=True), Column(3, "email", 1043, 44),
        Column(4, "boss", 20), Column(5, "country", 25), Column(6, "prefs", 3802), Column(7, "code", 1043, 12),
        Column(8, "born", 1082), Column(9, "score", 701), Column(10, "nick", 900), Column(11, "flag", 901),
        Column(12, "shout", 25, generated="s"),
    ),
    keys=(Key("pk", "p", (1, 2)), Key("mail", "u", (3,)), Key("code", "i", (7,)), Key("score", "i", (9,))),
    foreign_keys=(ForeignKey("t", (1,), 1, (2,)), ForeignKey("b", (4,), 2, (2,)), ForeignKey("c", (5,), 4, (1,))),
)  # fmt: skip
LETTERS = Relation(
    3, "public", "letters", "r",
    columns=(Column(1, "tenant", 25, not_null=True), Column(2, "to", 25), Column(3, "body", 25, not_null=True)),
    foreign_keys=(ForeignKey("m", (2,), 2, (3,)),),
)  # fmt: skip
COUNTRIES = Relation(4, "public", "countries", "r", columns=(Column(1, "code", 25),))
TYPES = [
    Type(23, "pg_catalog", "int4", "b"), Type(20, "pg_catalog", "int8", "b"), Type(25, "pg_catalog", "text", "b"),
    Type(1043, "pg_catalog", "varchar", "b"), Type(3802, "pg_catalog", "jsonb", "b"), Type(701, "pg_catalog", "f", "b"),
    Type(1082, "pg_catalog", "date", "b"), Type(900, "ext", "citext", "b", extension="citext"),
    Type(901, "public", "short", "d", base=1043),
]  # fmt: skip
CATALOG = Catalog(
    1, 180000, "shop", {("public", one.name): one for one in (TENANTS, PEOPLE, LETTERS, COUNTRIES)},
    {one.oid: one for one in TYPES}, {}, {}, {}, {},
)  # fmt: skip


def of(relation: Relation, key: str, place: int = 0) -> Kept:
    return Kept(relation, tuple(one for one in relation.columns if not one.generated), relation.columns[place], key)


KEPT = (of(TENANTS, "default"), of(PEOPLE, "slug"), of(LETTERS, "slug"))
ALL = dict.fromkeys(["id", "email", "country", "prefs", "code", "born", "score", "nick", "flag"], "keep")
ROW = rb"acme	7	a@b.example	7	no	{}	x	1980-02-03	1.5	Bob	abc" + b"\n"


def masked(
    people: dict[str, Any], letters: dict[str, Any] | None = None, **more: Any
) -> tuple[list[bytes], list[bytes]]:
    """A row of people and one of letters afterwards, by fields."""
    tables = {"people": {**ALL, **people}, "letters": {"body": "keep"} | (letters or {}), "tenants": {"title": "keep"}}
    rules = MaskingFile.model_validate({"tables": tables} | more)
    found = cover(rules, CATALOG, KEPT, "", {901: 9}, KEY)
    changed = [
        altered(row, found.changes[number], len(KEPT[number].columns)) for number, row in ((1, ROW), (2, LETTER))
    ]
    first, second = (one[:-1].split(b"\t") for one in changed)
    return first, second


LETTER = b"acme\ta@b.example\thello\n"


def problems(people: dict[str, Any], letters: dict[str, Any] | None = None, **more: Any) -> list[str]:
    with pytest.raises(Refused) as refused:
        masked(people, letters, **more)
    return refused.value.problems


def test_nothing_changes_where_all_is_kept() -> None:
    assert masked({}) == (ROW[:-1].split(b"\t"), LETTER[:-1].split(b"\t"))


def test_what_a_foreign_key_ties_follows_whichever_column_is_named() -> None:
    one = masked({"email": "hash"})
    assert one[0][2] == one[1][1] == KEY.text("a@b.example").encode()
    tables = {"people": {name: mask for name, mask in ALL.items() if name != "email"}, "letters": {"to": "hash"}}
    found = cover(MaskingFile.model_validate({"tables": tables, "unlisted": "keep"}), CATALOG, KEPT, "", {}, KEY)
    assert altered(LETTER, found.changes[2], 3).split(b"\t")[1] == one[1][1]
    assert altered(ROW, found.changes[1], 11).split(b"\t")[2] == one[0][2]
    made = masked({"email": {"fake": "email"}})
    assert made[0][2] == made[1][1]
    assert made[0][2].endswith(b"@example.com")


def test_a_number_that_references_itself_stays_the_same_number_though_it_is_wider() -> None:
    row, _ = masked({"id": "hash"})
    assert row[1] == row[3] == KEY.number("7", 1 << 31).encode()


def test_values_that_the_server_holds_equal_become_one_and_fit() -> None:
    row, _ = masked({"nick": "hash", "flag": "hash", "born": "hash", "prefs": {"set": "{\\}"}, "country": "null"})
    assert row[9] == KEY.text("bob").encode()
    assert row[10] == KEY.text("abc", 5).encode()
    assert row[7].startswith(b"1980-")
    assert row[5] == rb"{\\}"
    assert row[4] == rb"\N"


def test_no_value_stays_none() -> None:
    rules = MaskingFile.model_validate({
        "unlisted": "keep", "tables": {"people": {"nick": "hash", "flag": {"fake": "city"}, "prefs": {"set": "{}"}}},
    })  # fmt: skip
    found = cover(rules, CATALOG, KEPT, "", {}, KEY)
    row = rb"acme	7	\N	\N	\N	\N	\N	\N	\N	\N	\N" + b"\n"
    assert altered(row, found.changes[1], 11) == row
    assert found.columns == 3


def test_what_is_not_listed_is_refused_but_for_keys_that_follow() -> None:
    rules = MaskingFile.model_validate({"tables": {"people": {"id": "keep", "email": "keep"}}})
    with pytest.raises(Refused) as refused:
        cover(rules, CATALOG, KEPT, "", {}, KEY)
    names = ["country", "prefs", "code", "born", "score", "nick", "flag"]
    assert refused.value.problems == [
        "tenants.title is not listed",
        *(f"people.{one} is not listed" for one in names),
        "letters.body is not listed",
    ]
    assert cover(rules.model_copy(update={"unlisted": "keep"}), CATALOG, KEPT, "", {}, KEY).columns == 0


@pytest.mark.parametrize(
    ("people", "letters", "told"),
    [
        ({"tenant": "hash"}, {}, "people.tenant holds the tenant's key, which becomes the other's"),
        ({"none": "keep"}, {}, "people has no column none"),
        ({"shout": "hash"}, {}, "people.shout is computed by the server, from what is masked"),
        ({"id": None}, {}, "people.id may not be NULL"),
        ({"email": None}, {}, "people.email is referenced by others, which would lead nowhere"),
        (
            {"email": "hash"},
            {"to": "keep"},
            "people.email, letters.to are tied by foreign keys, and need the same mask;",
        ),
        ({"email": "hash"}, {"to": {"fake": "email"}}, "people.email, letters.to are tied by foreign keys, and need"),
        ({}, {"to": {"set": "x"}}, "letters.to is tied by foreign keys: mask it by hash, or null"),
        ({"email": {"fake": "name"}}, {}, "people.email must be unique: mask it by hash, or fake: email"),
        ({"code": {"fake": "email"}}, {}, "people.code must be unique: it is too short for an e-mail address"),
        ({"code": "hash"}, {}, "people.code must be unique: it is too short for 16 digits of a hash"),
        ({"code": {"set": "x"}}, {}, "people.code must be unique, and cannot be the same in every row"),
        ({"score": "hash"}, {}, "people.score must be unique: a hash of what is rounded may not be"),
        ({"country": "hash"}, {}, "people.country references a table that is not the tenant's: keep it, or null"),
        ({"prefs": "hash"}, {}, "people.prefs has a type that hash does not know: keep it, null it or set it"),
        ({"born": {"fake": "name"}}, {}, "people.born has a type that fake does not know: keep it, null it or set it"),
    ],
)
def test_what_cannot_be_is_told(people: dict[str, Any], letters: dict[str, Any], told: str) -> None:
    found = problems(people, letters)
    assert len(found) == 1
    assert found[0].startswith(told)


def test_a_table_that_is_not_the_tenants_is_unknown() -> None:
    rules = MaskingFile.model_validate({"unlisted": "keep", "tables": {"countries": {"code": "keep"}, "gone": {}}})
    with pytest.raises(Refused) as refused:
        cover(rules, CATALOG, KEPT, "", {}, KEY)
    assert refused.value.problems == ["countries is no table of the tenant", "gone is no table of the tenant"]


def test_a_name_without_a_schema_is_of_the_tenants_own() -> None:
    own = Relation(5, "acme", "notes", "r", columns=(Column(1, "body", 25),))
    kept = (Kept(own, own.columns),)
    rules = MaskingFile.model_validate({"tables": {"notes": {"body": "hash"}}})
    assert cover(rules, CATALOG, kept, "acme", {}, KEY).columns == 1


def test_a_value_that_cannot_be_masked_so_is_told_without_it() -> None:
    rules = MaskingFile.model_validate({"unlisted": "keep", "tables": {"people": {"born": "hash"}}})
    change = cover(rules, CATALOG, KEPT, "", {}, KEY).changes[1]
    with pytest.raises(Refused, match=r"^people.born has a value that cannot be masked so: null it or set it$"):
        altered(ROW.replace(b"1980-02-03", b"0044-03-15 BC"), change, 11)
