"""Rows as Parquet files have them: the text of COPY turned into Arrow's columns, some megabytes at a time.

Promises: what is written has the value that the server has, or it is refused: a date that Parquet has no value for, or
a number that is none. What Parquet has no type for is text, as PostgreSQL writes it. Importing this module fails where
pyarrow is not installed. Source: Apache Parquet, "Logical Types".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import time
from typing import Any, BinaryIO, Final

import pyarrow as pa
import pyarrow.parquet

from proxy.backup.pieces import NULL, value_of
from proxy.backup.refusal import Refused

GROUP = 32 << 20  # bytes of Arrow's columns in a row group, about
DIGITS = 76  # of the widest decimal
PLAIN = {
    16: pa.bool_(), 21: pa.int16(), 23: pa.int32(), 20: pa.int64(), 700: pa.float32(), 701: pa.float64(),
    17: pa.binary(), 1082: pa.date32(), 1083: pa.time64("us"), 1114: pa.timestamp("us"),
    1184: pa.timestamp("us", tz="UTC"),
}  # fmt: skip
NUMERIC = 1700


def arrow_type(oid: int, typmod: int) -> Any:
    """What a column of a type is in Parquet; oid: of the base type, of a domain."""
    if oid == NUMERIC and typmod > 4:
        precision, scale = (typmod - 4) >> 16 & 0xFFFF, (typmod - 4) & 0x7FF
        if scale <= precision <= DIGITS:  # a scale below 0 is above 1000 here
            return pa.decimal128(precision, scale) if precision <= 38 else pa.decimal256(precision, scale)
    return PLAIN.get(oid, pa.string())


CONVERTED: dict[Any, Callable[[str], Any]] = {
    pa.bool_(): lambda text: text == "t",
    pa.binary(): lambda text: bytes.fromhex(text[2:]),
    pa.time64("us"): time.fromisoformat,
}


def _column(texts: list[str | None], kind: Any) -> Any:
    if kind in CONVERTED:
        read = CONVERTED[kind]
        return pa.array([None if one is None else read(one) for one in texts], kind)
    return pa.array(texts, pa.string()).cast(kind)


class Columns:
    """A table's file. names and kinds: of its columns; nullable: which may be NULL."""

    form: Final = "text"

    def __init__(
        self, file: BinaryIO, title: str, names: Sequence[str], kinds: Sequence[Any], nullable: Sequence[bool]
    ):
        self._title = title
        fields = [pa.field(*one) for one in zip(names, kinds, nullable, strict=True)]
        self._schema = pa.schema(fields)
        self._writer = pa.parquet.ParquetWriter(file, self._schema, compression="zstd")
        self._waiting: list[Any] = []
        self._rows = 0

    def add(self, text: bytes) -> None:
        """Takes whole rows. Refused for a value that Parquet cannot have."""
        rows = [row.split(b"\t") for row in text.split(b"\n")[:-1]]
        self._rows += len(rows)
        if not rows or not self._schema:
            return
        columns = []
        for field, column in zip(self._schema, zip(*rows, strict=True), strict=True):
            texts = [None if one == NULL else value_of(one) for one in column]
            try:
                columns.append(_column(texts, field.type))
            except (pa.ArrowInvalid, ValueError):
                raise Refused(
                    [f"{self._title}.{field.name} has a value that Parquet has not, such as infinity: export as csv"]
                ) from None
        self._waiting.append(pa.RecordBatch.from_arrays(columns, schema=self._schema))
        if sum(one.nbytes for one in self._waiting) >= GROUP:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            self._writer.write_table(pa.Table.from_batches(self._waiting, schema=self._schema))
            self._waiting = []

    def close(self) -> int:
        """Ends the file; how many rows there were."""
        self._flush()
        self._writer.close()
        return self._rows
