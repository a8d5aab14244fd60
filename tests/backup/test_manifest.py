"""A manifest is read as it was written, or refused."""

from __future__ import annotations

import hashlib

import orjson
import pytest

from proxy.backup.manifest import (
    ColumnForm,
    Manifest,
    Member,
    RelationForm,
    RulesForm,
    SequenceForm,
    SnapshotForm,
    decode,
    encode,
    seal,
)
from proxy.backup.refusal import Damaged, Refused

MEMBER = Member(name="data/0001/000001.copy.zst", size=9, sha256="0" * 64, bytes=20, rows=2)
MANIFEST = Manifest(
    format=1,
    program="partywall 0",
    tenant="acme",
    database="shop",
    isolation="row",
    keys={"default": "1"},
    server_version=150018,
    snapshot=SnapshotForm(time="2026-11-26T06:00:00.000000Z", lsn="0/1"),
    rules=RulesForm(generation=1, hash="0" * 64),
    relations=(
        RelationForm(
            schema="public",
            name="orders",
            tenant_column="tenant_id",
            key="default",
            columns=(ColumnForm(name="tenant_id", type="integer"), ColumnForm(name="id", type="bigint", identity=True)),
            members=(MEMBER, MEMBER),
        ),
    ),
    sequences=(SequenceForm(schema="public", name="s", value=7, called=True, own=False),),
)


def test_a_manifest_is_read_as_it_was_written() -> None:
    assert decode(encode(MANIFEST)) == MANIFEST
    assert not {b"bases", b"builds"} & set(encode(MANIFEST).split(b'"'))  # older programs read it, too
    assert MANIFEST.rows == 4
    assert MANIFEST.members == (MEMBER, MEMBER)
    assert MANIFEST.relations[0].title == "orders"


def test_its_seal_is_a_line_of_sha256sum() -> None:
    assert seal(b"{}") == f"{hashlib.sha256(b'{}').hexdigest()}  manifest.json\n".encode()


def test_another_format_is_refused_and_what_is_no_manifest_is_damaged() -> None:
    whole = orjson.loads(encode(MANIFEST))
    with pytest.raises(Refused, match="has format 3; this program reads formats 1 and 2"):
        decode(orjson.dumps(whole | {"format": 3}))
    with pytest.raises(Damaged, match="format 2 is of an archive that builds on others"):
        decode(orjson.dumps(whole | {"format": 2}))
    for text in (b"{", b"[]"):
        with pytest.raises(Damaged):
            decode(text)
    for change in ({"more": 1}, {"server_version": "15"}, {"relations": 1}, {"isolation": "none"}):
        with pytest.raises(Damaged, match=next(iter(change))):
            decode(orjson.dumps(whole | change))
    del whole["tenant"]
    with pytest.raises(Damaged, match="tenant"):
        decode(orjson.dumps(whole))
