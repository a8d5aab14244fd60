"""An archive's rows are summed as a server sums them, and come sorted from disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.backup import archived as module
from proxy.backup.archive import finish, packed, writing
from proxy.backup.archived import Compared, Sorted, summed
from proxy.backup.comparing import BUCKETS, Row, bucket_of, halves_of
from proxy.backup.manifest import ColumnForm, Manifest, RelationForm
from proxy.backup.refusal import Damaged
from proxy.backup.rowhash import hashed
from tests.backup.test_rekeying import MANIFEST

COLUMNS = tuple(ColumnForm(name=name, type="text") for name in ("tenant_id", "id", "note"))
LINES = [b"2\t%d\t\\\\N %d" % (number, number % 7) for number in range(1000)]


@pytest.fixture
def archive(tmp_path: Path) -> tuple[str, Manifest]:
    """Two tables, the first in three members."""
    forms = [RelationForm(schema="public", name=name, columns=COLUMNS) for name in ("many", "none")]
    with writing(str(tmp_path / "a")) as sink:
        some = []
        for number, at in enumerate((0, 400, 800)):
            text = b"".join(one + b"\n" for one in LINES[at : at + 400])
            member, stored = packed(f"data/0001/{number}.copy.zst", text)
            sink.add(member.name, stored)
            some.append(member)
        forms[0] = forms[0].model_copy(update={"members": tuple(some)})
        manifest = MANIFEST.model_copy(update={"relations": tuple(forms)})
        finish(sink, manifest)
    return str(tmp_path / "a"), manifest


def test_a_line_is_hashed_over_the_columns_that_are_compared() -> None:
    form = RelationForm(schema="public", name="t", columns=COLUMNS)
    assert Compared(form, (0, 1, 2), (0, 1)).row(b"a\tb\tc") == Row(hashed(b"a\tb"), hashed(b"a\tb\tc"))
    assert Compared(form, (0, 2), ()).row(b"a\tb\tc") == Row(hashed(b"a\tc"), hashed(b"a\tc"))
    assert Compared(form, (0, 1, 2), ()).row(b"a\tb\tc") == Row(hashed(b"a\tb\tc"), hashed(b"a\tb\tc"))


def test_rows_are_summed_and_sorted(archive: tuple[str, Manifest], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RUN", 300)
    monkeypatch.setattr(module, "AHEAD", 640)
    path, manifest = archive
    tables = [Compared(one, (0, 1, 2), (0, 1)) for one in manifest.relations]
    told: list[str] = []
    many, none = summed(path, (), tables, b"salt", lambda member: told.append(member.name))
    expected = sorted((tables[0].row(one) for one in LINES), key=lambda row: row.place)
    assert (len(told), none, sum(count for count, _, _ in many.values())) == (3, {}, 1000)
    assert sum(high for _, high, _ in many.values()) == sum(halves_of(row.hash, b"salt")[0] for row in expected)
    with Sorted() as spool:
        spool.take(path, (), dict(enumerate(tables)), {0: frozenset(range(BUCKETS)), 1: frozenset()})
        assert list(spool.rows(0)) == expected
        assert list(spool.rows(1)) == []
    wanted = bucket_of(expected[0].place)
    with Sorted() as spool:
        spool.take(path, (), {0: tables[0]}, {0: frozenset({wanted})})
        assert list(spool.rows(0)) == [row for row in expected if bucket_of(row.place) == wanted]


def test_an_archive_that_has_changed_since_is_refused(archive: tuple[str, Manifest]) -> None:
    path, manifest = archive
    form = manifest.relations[0]
    for update, why in (({"sha256": "0" * 64}, "has changed since"), ({"name": "data/0009/1"}, "is gone since")):
        other = form.model_copy(update={"members": (form.members[0].model_copy(update=update),)})
        with pytest.raises(Damaged, match=why):
            summed(path, (), [Compared(other, (0, 1, 2), ())], b"salt")
