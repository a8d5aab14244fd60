"""The encoder writes what libpg_query reads: every statement of the corpora comes back as the same tree."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from pglast.parser import ParseError, deparse_protobuf, parse_sql_json, parse_sql_protobuf

from proxy.sql.encode import encode, varint
from tests.equivalence.corpus import read_blocks


@pytest.mark.parametrize(("number", "data"), [(0, b"\0"), (127, b"\x7f"), (128, b"\x80\1"), (300, b"\xac\2")])
def test_a_varint_is_seven_bits_a_byte_lowest_first(number: int, data: bytes) -> None:
    assert varint(number) == data


def test_a_negative_number_takes_ten_bytes_as_protobuf_says() -> None:
    assert varint(-1) == b"\xff" * 9 + b"\1"


def test_every_statement_is_encoded_as_the_library_itself_does() -> None:
    """Byte order of fields may differ; what the deparser makes of them must not."""
    count = 0
    for text in texts():
        for raw in orjson.loads(parse_sql_json(text))["stmts"]:
            ours = deparse_protobuf(encode(raw["stmt"]))
            again = parse_sql_protobuf(ours)
            assert deparse_protobuf(again) == ours
            count += 1
    assert count > 200


def test_marks_of_the_rewriter_are_left_out_and_unknown_fields_are_a_bug() -> None:
    tree = orjson.loads(parse_sql_json("SELECT 1"))["stmts"][0]["stmt"]
    marked = {"SelectStmt": {**tree["SelectStmt"], "_mark": object()}}
    assert encode(marked) == encode(tree)
    with pytest.raises(KeyError):
        encode({"SelectStmt": {**tree["SelectStmt"], "noSuchField": 1}})
    with pytest.raises(KeyError):
        encode({"NoSuchStmt": {}})


def texts() -> list[str]:
    """What of the legitimate corpus parses."""
    found = []
    for block in read_blocks(Path(__file__).parents[1] / "data" / "legit.sql"):
        for text in block.statements:
            try:
                parse_sql_json(text)
            except ParseError:
                continue
            found.append(text)
    return found
