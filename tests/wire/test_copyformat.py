"""A value reads back as itself under whatever options: asked of real servers, which get what the scanners make."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import FeatureNotSupported
from proxy.wire.copyformat import CopyFormat
from tests.kit.postgres import Cluster
from tests.kit.rawclient import RawClient, error_fields, row_values

OPTIONS = {
    "FORMAT text": CopyFormat(),
    "FORMAT text, DELIMITER 'A', NULL 'acme'": CopyFormat(delimiter=b"A", markers=(b"acme",)),
    "FORMAT text, NULL '\\141cme'": CopyFormat(markers=(b"\\141cme",)),
    "FORMAT text, DELIMITER '|', NULL ''": CopyFormat(delimiter=b"|", markers=(b"",)),
    "FORMAT csv": CopyFormat("csv", b",", markers=(b"",)),
    "FORMAT csv, QUOTE 'a', ESCAPE 'c', DELIMITER 'e', NULL 'x'": CopyFormat("csv", b"e", b"a", b"c", (b"x",)),
    "FORMAT csv, QUOTE '\\', NULL 'acme'": CopyFormat("csv", b",", b"\\", b"\\", (b"acme",)),
    "FORMAT csv, ESCAPE '\\'": CopyFormat("csv", b",", b'"', b"\\", (b"",)),
}
VALUES = ("acme", "A", "a", "é|ü", 'say "x", \\.', "\\.", "\\N", "\t|\v\b", "aacceeAA\\\\", "1")


@pytest.fixture(scope="module")
def client(server: Cluster) -> Iterator[RawClient]:
    with RawClient("127.0.0.1", server.port, "postgres", "postgres") as client:
        client.simple("CREATE TEMP TABLE taken (k text, v text)")
        yield client


@pytest.mark.parametrize("options", OPTIONS)
def test_the_value_and_the_row_read_back_as_themselves(client: RawClient, options: str) -> None:
    form = OPTIONS[options]
    for value in VALUES:
        client.simple("TRUNCATE taken")
        assert client.simple(f"COPY taken FROM STDIN ({options})").messages[-1].tag == "G"
        rows = form.rows(value, "text", "k", 1)
        assert client.copy_data(rows.feed(b"z\nz") + rows.end()).messages[0].tag == "C", (value, options)
        messages = client.simple("SELECT * FROM taken").messages
        assert [row_values(one.body) for one in messages if one.tag == "D"] == [(value.encode(), b"z")] * 2


@pytest.mark.parametrize(
    ("type_name", "value"),
    [("int2", "-7"), ("int4", "7"), ("int8", "99999999999"), ("uuid", "00000000-0000-4000-8000-000000000001"),
     ("text", "acmé"), ("varchar", "x"), ("bpchar", "y")],
)  # fmt: skip
def test_the_binary_form_reads_back_as_the_value(client: RawClient, type_name: str, value: str) -> None:
    client.simple("DROP TABLE IF EXISTS pair")
    client.simple(f"CREATE TEMP TABLE pair (k pg_catalog.{type_name}, v int2)")
    client.simple("COPY pair FROM STDIN BINARY")
    rows = CopyFormat("binary").rows(value, type_name, "k", 1)
    header = b"PGCOPY\n\xff\r\n\0" + bytes(8)
    exchange = client.copy_data(rows.feed(header + b"\0\1\0\0\0\2\0\5" + b"\xff\xff") + rows.end())
    assert exchange.messages[0].tag == "C", [error_fields(one.body) for one in exchange.messages if one.tag == "E"]
    messages = client.simple("SELECT * FROM pair").messages
    assert [row_values(one.body) for one in messages if one.tag == "D"] == [(value.encode(), b"5")]


@given(
    st.text(st.sampled_from("aN\\|\t\n\r.é1"), max_size=5),
    st.sampled_from([b"\t", b"|", b"N"]),
    st.lists(st.text(st.sampled_from("aN\\1416x."), max_size=5).map(str.encode), max_size=2),
)
def test_a_text_value_is_never_a_marker_nor_two_fields_nor_a_row_s_end(
    value: str, delimiter: bytes, markers: list[bytes]
) -> None:
    form = CopyFormat(delimiter=delimiter, markers=tuple(markers))
    try:
        written = form.value(value, "text")
    except FeatureNotSupported:
        assert value == ""
        assert b"" in markers
        return
    assert written not in markers
    assert not any(one in written for one in (b"\n", b"\r", delimiter, b"\\."))


def test_csv_has_no_form_for_a_value_of_two_lines() -> None:
    with pytest.raises(FeatureNotSupported):
        CopyFormat("csv").value("a\nb", "text")


def test_a_header_that_is_compared_begins_with_the_column_s_name() -> None:
    rows = CopyFormat("csv", b",", header="match").rows("1", "int4", 'Te"nant', 2)
    assert rows.feed(b"a,b\n2,3\n") == b'"Te""nant",a,b\n"1",2,3\n'
    rows = CopyFormat(header="skip").rows("1", "int4", "t", 2)
    assert rows.feed(b"a\tb\n2\t3\n") == b"a\tb\n1\t2\t3\n"
