"""An error of COPY FROM says what it would if the client's rows were all that there is."""

from __future__ import annotations

import pytest

from proxy.sql.copied import CopyIn
from proxy.sql.copyerrors import in_clients_terms
from proxy.wire.copyformat import CopyFormat

TEXT = CopyIn("notes", 2, CopyFormat(), "tenant", "slug", "text")
CSV = CopyIn("notes", 2, CopyFormat("csv", b",", markers=(b"",), header="match"), "tenant", "slug", "text")
BINARY = CopyIn("notes", 2, CopyFormat("binary"), "tenant", "slug", "text")
LISTED = CopyIn("notes", 3, CopyFormat())
KEYS = {"default": "1", "slug": "ac|me"}


def shown(copy: CopyIn, **fields: str) -> dict[str, str]:
    return in_clients_terms(fields, copy, KEYS)


@pytest.mark.parametrize(
    ("copy", "sent", "expected"),
    [
        (TEXT, 'COPY notes, line 3: "ac|me\t9\tx"', 'COPY notes, line 3: "9\tx"'),
        (CSV, 'COPY notes, line 3: ""ac|me",9,x"', 'COPY notes, line 3: "9,x"'),
        (CSV, 'COPY notes, line 1: ""tenant",id,body"', 'COPY notes, line 1: "id,body"'),
        (TEXT, 'COPY notes, line 3, column id: "ac|me\tx"', 'COPY notes, line 3, column id: "ac|me\tx"'),
        (TEXT, "COPY notes, line 3", "COPY notes, line 3"),
        (TEXT, 'function f() line 1\nCOPY notes, line 3: "ac|me\t9"', 'function f() line 1\nCOPY notes, line 3: "9"'),
        (TEXT, 'COPY notes, line 3: "ac|..."', 'COPY notes, line 3: "..."'),
        (TEXT, 'COPY notes, line 3: "9\tx"', 'COPY notes, line 3: "9\tx"'),
        (TEXT, 'COPY other, line 3: "ac|me\t9"', 'COPY other, line 3: "ac|me\t9"'),
        (LISTED, 'COPY notes, line 3: "ac|me\t9"', 'COPY notes, line 3: "ac|me\t9"'),
        (BINARY, "COPY notes, line 3, column id", "COPY notes, line 3, column id"),
    ],
)  # fmt: skip
def test_the_line_is_quoted_as_the_client_sent_it(copy: CopyIn, sent: str, expected: str) -> None:
    assert shown(copy, C="22P04", M="missing data", W=sent)["W"] == expected


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ("row field count is 4, expected 3", "row field count is 3, expected 2"),
        ("row field count is -2, expected 3", "row field count is -2, expected 2"),
        (
            "wrong number of fields in header line: got 2, expected 3",
            "wrong number of fields in header line: got 1, expected 2",
        ),
        (
            'column name mismatch in header line field 2: got "x", expected "id"',
            'column name mismatch in header line field 1: got "x", expected "id"',
        ),
        ("extra data after last expected column", "extra data after last expected column"),
    ],
)
def test_columns_are_counted_as_the_client_counts_them(sent: str, expected: str) -> None:
    assert shown(CSV, C="22P04", M=sent, W='COPY notes, line 1: ""tenant",id"')["M"] == expected
    assert shown(LISTED, C="22P04", M=sent)["M"] == sent


def test_a_header_that_is_not_there_has_no_column_of_ours() -> None:
    sent = {"M": "wrong number of fields in header line: got 1, expected 3", "W": 'COPY notes, line 1: ""'}
    assert shown(CSV, **sent)["M"] == "wrong number of fields in header line: got 1, expected 2"


def test_what_looks_like_our_column_behind_it_is_the_clients() -> None:
    context = 'COPY notes, line 2: ""ac|me","ac|me",x"'
    assert shown(CSV, C="22P04", M="m", W=context)["W"] == 'COPY notes, line 2: ""ac|me",x"'


def test_a_foreign_row_is_answered_as_a_policy_would_whatever_its_value() -> None:
    told = {
        str(
            shown(
                copy,
                C="22P02",
                M=f'invalid input syntax for type boolean: "row of another tenant: {value}"',
                R="boolin",
            )
        )
        for copy in (TEXT, LISTED)
        for value in ("globex", "", "3")
    }
    assert told == {str({"C": "42501", "M": 'new row violates row-level security policy for table "notes"'})}


def test_other_errors_of_that_kind_stay() -> None:
    fields = {"C": "22P02", "M": 'invalid input syntax for type boolean: "maybe"', "R": "boolin"}
    assert in_clients_terms(fields, TEXT, KEYS) == fields
