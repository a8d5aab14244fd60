"""Columns of a Parquet file have the types of the table's, and the values; what Parquet cannot say is refused."""

from __future__ import annotations

import io
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from proxy.backup import parquet
from proxy.backup.parquet import Columns, arrow_type
from proxy.backup.refusal import Refused

CASES: list[tuple[int, int, list[bytes], list[Any]]] = [
    (16, -1, [b"t", b"f"], [True, False]),
    (21, -1, [b"-32768", b"1"], [-32768, 1]),
    (20, -1, [b"9223372036854775807", b"0"], [2**63 - 1, 0]),
    (701, -1, [b"0.1", b"-Infinity"], [0.1, float("-inf")]),
    (1700, (12 << 16 | 2) + 4, [b"1234567890.50", b"-0.01"], [Decimal("1234567890.50"), Decimal("-0.01")]),
    (1700, (60 << 16 | 20) + 4, [b"1" * 40, b"0.5"], [Decimal("1" * 40), Decimal("0.5")]),
    (1700, -1, [b"1.10", b"NaN"], ["1.10", "NaN"]),
    (1082, -1, [b"2024-02-29", b"0001-01-01"], [date(2024, 2, 29), date(1, 1, 1)]),
    (1083, -1, [b"12:34:56.789", b"00:00:00"], [time(12, 34, 56, 789000), time(0)]),
    (1114, -1, [b"2024-01-01 00:00:00.5", b"1960-01-01 00:00:00"],
     [datetime.fromisoformat("2024-01-01 00:00:00.5"), datetime.fromisoformat("1960-01-01")]),
    (1184, -1, [b"2024-01-01 00:00:00.5+00", b"1960-01-01 00:00:00+00"],
     [datetime(2024, 1, 1, 0, 0, 0, 500000, UTC), datetime(1960, 1, 1, tzinfo=UTC)]),
    (17, -1, [rb"\\x00ff", rb"\\x"], [b"\x00\xff", b""]),
    (25, -1, [b"", rb"a\tb\\N"], ["", "a\tb\\N"]),
    (1007, -1, [b"{1,2}", b"{}"], ["{1,2}", "{}"]),
]  # fmt: skip


def made(kind: Any, fields: list[bytes], nullable: bool = True) -> Any:
    file = io.BytesIO()
    columns = Columns(file, "t", ["n", "c"], [pa.int32(), kind], [False, nullable])
    columns.add(b"".join(b"%d\t%s\n" % (number, one) for number, one in enumerate(fields)))
    assert columns.close() == len(fields)
    return pq.read_table(io.BytesIO(file.getvalue()))


@pytest.mark.parametrize(("oid", "typmod", "fields", "values"), CASES)
def test_a_column_has_its_type_and_values(oid: int, typmod: int, fields: list[bytes], values: list[Any]) -> None:
    table = made(arrow_type(oid, typmod), [*fields, rb"\N"])
    assert table.column("c").to_pylist() == [*values, None]
    assert table.schema.field("c").type == arrow_type(oid, typmod)
    assert (table.schema.field("n").nullable, table.schema.field("c").nullable) == (False, True)


@pytest.mark.parametrize(
    ("oid", "typmod", "field"),
    [
        (1082, -1, b"infinity"),
        (1082, -1, b"0044-03-15 BC"),
        (1184, -1, b"-infinity"),
        (1083, -1, b"24:00:00"),
        (1700, (12 << 16 | 2) + 4, b"NaN"),
    ],
)
def test_a_value_that_parquet_has_not_is_refused(oid: int, typmod: int, field: bytes) -> None:
    with pytest.raises(Refused, match=r"^t\.c has a value that Parquet has not, such as infinity: export as csv$"):
        made(arrow_type(oid, typmod), [field])


def test_a_scale_that_parquet_has_not_is_text() -> None:
    assert arrow_type(1700, (3 << 16 | (-2 & 0x7FF)) + 4) == pa.string()
    assert arrow_type(1700, (3 << 16 | 5) + 4) == pa.string()


def test_rows_are_written_in_groups_and_none_is_a_table_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "GROUP", 100)
    file = io.BytesIO()
    columns = Columns(file, "t", ["n"], [pa.int64()], [True])
    for number in range(20):
        columns.add(b"%d\n%d\n" % (number, number))
    assert columns.close() == 40
    assert pq.ParquetFile(io.BytesIO(file.getvalue())).num_row_groups > 1
    assert sorted(pq.read_table(io.BytesIO(file.getvalue())).column("n").to_pylist()) == sorted([*range(20)] * 2)
    assert made(pa.int32(), []).num_rows == 0
