"""What a startup packet may ask for, and what is refused of it."""

from __future__ import annotations

import pytest

from proxy.session.actions import FindLogin
from proxy.session.options import check_encoding, options, split_options
from proxy.session.session import ClientSession
from tests.session.conftest import Door, packet, refused


@pytest.mark.parametrize(
    ("parameters", "sqlstate"),
    [
        ({"database": "test"}, "28000"),
        ({"user": "alice", "replication": "database"}, "0A000"),
        ({"user": "alice", "client_encoding": "SQL_ASCII"}, "0A000"),
        ({"user": "alice", "client_encoding": "LATIN1"}, "0A000"),
        ({"user": "alice", "search_path": "evil"}, "42501"),
        ({"user": "alice", "options": "-c search_path=evil"}, "42501"),
        ({"user": "alice", "options": "-c role=postgres"}, "42501"),
        ({"user": "alice", "options": "--role=postgres"}, "42501"),
        ({"user": "alice", "options": "-c work_mem"}, "42601"),
        ({"user": "alice", "role": "postgres"}, "42501"),
    ],
)
def test_what_the_proxy_cannot_keep_for_a_client_is_refused_and_never_dropped(
    fresh: ClientSession, door: Door, parameters: dict[str, str], sqlstate: str
) -> None:
    fresh.data(packet(196608, **parameters))
    assert refused(door)["C"] == sqlstate
    assert door.asked(FindLogin) == []


def test_options_are_read_as_the_server_reads_them() -> None:
    assert split_options(r"-c a=b\ c  -cx=y\\z") == ["-c", "a=b c", r"-cx=y\z"]
    assert options(r"-c work-mem=8MB -cstatement_timeout=5s") == {"work_mem": "8MB", "statement_timeout": "5s"}


@pytest.mark.parametrize("name", ["UTF8", "utf-8", "'UTF8'", "Unicode"])
def test_every_spelling_of_utf8_is_taken(name: str) -> None:
    check_encoding(name)
