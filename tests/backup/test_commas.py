"""Lines end as RFC 4180 wants them, what is quoted stays, and rows are counted."""

from __future__ import annotations

import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from proxy.backup.commas import Commas

TEXT = b'id,"a ""b"",\nc"\n1,\n2,""\n3,"x\ny""\n\n"\n4,"\\."\n'


@given(st.integers(0, len(TEXT)), st.integers(0, len(TEXT)))
def test_what_is_quoted_stays_wherever_it_is_cut(one: int, other: int) -> None:
    first, last = sorted((one, other))
    file = io.BytesIO()
    made = Commas(file)
    for part in (TEXT[:first], TEXT[first:last], TEXT[last:]):
        made.add(part)
    assert made.close() == 4
    assert file.getvalue() == b'id,"a ""b"",\nc"\r\n1,\r\n2,""\r\n3,"x\ny""\n\n"\r\n4,"\\."\r\n'
    read = list(csv.reader(io.StringIO(file.getvalue().decode(), newline="")))
    assert read == [["id", 'a "b",\nc'], ["1", ""], ["2", ""], ["3", 'x\ny"\n\n'], ["4", "\\."]]
