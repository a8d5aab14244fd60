"""Forms: programs get back what was written, and people see each column under its name."""

from __future__ import annotations

import csv
import io
import json

from hypothesis import given
from hypothesis import strategies as st

from proxy.accounting.forms import rendered

HEADER = ("hour", "tenant", "rows")
NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)
RECORDS = st.lists(st.tuples(NAMES, NAMES, st.integers(0, 2**60)), max_size=5)


@given(RECORDS)
def test_csv_is_read_back(records: list[tuple[str, str, int]]) -> None:
    header, *lines = csv.reader(io.StringIO(rendered(HEADER, records, "csv")))
    assert tuple(header) == HEADER
    assert [(hour, tenant, int(rows)) for hour, tenant, rows in lines] == records


@given(RECORDS)
def test_json_is_read_back(records: list[tuple[str, str, int]]) -> None:
    read = json.loads(rendered(HEADER, records, "json"))
    assert read == [dict(zip(HEADER, record, strict=True)) for record in records]


def test_a_table_has_words_to_the_left_and_numbers_to_the_right() -> None:
    records = [("2026-11", "acme", 5), ("2026-11", "globex", 12345)]
    assert rendered(HEADER, records, "table") == (
        "hour     tenant   rows\n"  # the widest of each column
        "2026-11  acme        5\n"
        "2026-11  globex  12345\n"
    )
    assert rendered(HEADER, [], "table") == "hour  tenant  rows\n"
