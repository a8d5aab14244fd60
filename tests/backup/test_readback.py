"""A readback note is read as it was written, and what is none of ours is none."""

from __future__ import annotations

from dataclasses import replace

import orjson

from proxy.backup.labels import Label
from proxy.backup.readback import Readback, decode

LABEL = Label("acme", "shop", 1_795_000_000, sealed=False)
BEGUN = Readback("partywall 1", LABEL.name, "acme", "shop", LABEL.begun)
GOOD = replace(BEGUN, moment=1_795_000_001.5, verified=1_795_000_009.0, seconds=9.0, size=12, sha256="ab")


def test_a_note_is_read_as_it_was_written() -> None:
    for one in (BEGUN, GOOD):
        assert decode(one.encode()) == one


def test_it_is_of_one_archive() -> None:
    assert GOOD.fits(LABEL)
    for other in (
        replace(LABEL, tenant="globex"),
        replace(LABEL, database="x"),
        replace(LABEL, begun=1),
        replace(LABEL, sealed=True),
    ):
        assert not GOOD.fits(other)


def test_what_is_none_of_ours_is_none() -> None:
    given = orjson.loads(GOOD.encode())
    for text in (
        b"",
        b"{}",
        b"[]",
        b"1",
        GOOD.encode()[:-5],
        orjson.dumps(given | {"format": 2}),
        orjson.dumps(given | {"size": "12"}),
        orjson.dumps(given | {"moment": "now"}),
        orjson.dumps(given | {"more": 1}),
    ):
        assert decode(text) is None
