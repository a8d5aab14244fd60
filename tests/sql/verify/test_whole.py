"""What is sent to a tenant's own database is what it wrote, one statement, and none about the server."""

from __future__ import annotations

import pytest

from proxy.errors import FeatureNotSupported
from proxy.sql.verify.whole import verify_whole

TEXT = b"SELECT 1; SELECT 2"


def test_a_statement_as_it_stands_in_the_text_is_sent() -> None:
    verify_whole(b"SELECT 1", TEXT, 0, 18)
    verify_whole(b" SELECT 2", TEXT, 9, 18)


@pytest.mark.parametrize(
    ("sent", "begin"), [(b"SELECT 3", 0), (b"SELECT 1", 1), (b"SELECT 1; SELECT 2", 0), (b"SELECT 1;;SELECT 2", 0)]
)
def test_anything_else_is_not(sent: bytes, begin: int) -> None:
    with pytest.raises(FeatureNotSupported):
        verify_whole(sent, TEXT, begin, 18)


@pytest.mark.parametrize(
    "text",
    [
        "ALTER SYSTEM SET a = 1",
        "COPY t TO '/x'",
        "COPY t FROM PROGRAM 'x'",
        "CREATE ROLE r",
        "DROP DATABASE d",
        "LOAD 'x'",
    ],
)
def test_a_statement_about_the_server_is_not_even_where_it_came_so_far(text: str) -> None:
    with pytest.raises(FeatureNotSupported):
        verify_whole(text.encode(), text.encode(), 0, 18)
