"""What ORMs send: small applications (tests/equivalence/apps), recorded once, replayed in lock step.

`python -m tests.equivalence.record` records them anew; docs/oracle.md has the commands.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from tests.equivalence.compare import Seen, observe
from tests.equivalence.lockstep import message
from tests.equivalence.record import RECORDED, Line, Recorder
from tests.kit.postgres import Cluster
from tests.kit.proxy import running_proxy
from tests.kit.rawclient import RawClient
from tests.kit.sample import pristine

CORPORA = sorted(path.stem for path in RECORDED.glob("*.jsonl"))


def lines(name: str) -> list[Line]:
    text = (RECORDED / f"{name}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def messages(line: Line) -> bytes:
    """What the application sent, under names of no statement and no portal."""
    query = str(line[0]).encode() + b"\0"
    if len(line) == 1:
        return message(b"Q", query)
    types, values, formats, results = line[1:]
    assert isinstance(types, list)
    assert isinstance(values, list)
    assert isinstance(formats, list)
    assert isinstance(results, list)
    bind = b"\0\0" + _numbers(formats) + struct.pack("!h", len(values))
    for value in values:
        bind += struct.pack("!i", -1) if value is None else struct.pack("!i", len(value) // 2) + bytes.fromhex(value)
    parts = [
        (b"P", b"\0" + query + struct.pack(f"!h{len(types)}i", len(types), *types)),
        (b"B", bind + _numbers(results)),
        (b"D", b"P\0"),
        (b"E", b"\0\0\0\0\0"),
        (b"S", b""),
    ]
    return b"".join(message(tag, body) for tag, body in parts)


def _numbers(numbers: list[int]) -> bytes:
    return struct.pack(f"!h{len(numbers)}h", len(numbers), *numbers)


def replayed(client: RawClient, corpus: list[Line]) -> list[tuple[Line, list[Seen]]]:
    told = []
    for line in corpus:
        client.socket.sendall(messages(line))
        told.append((line, observe(client.collect(), ordered="ORDER BY" in str(line[0]))))
    return told


def rows_of(seen: list[Seen]) -> set[object]:
    return {row for one in seen if one[0] == "rows" and isinstance(one[1], tuple) for row in one[1]}


@pytest.mark.parametrize("name", CORPORA)
def test_what_an_orm_sends_is_answered_as_by_a_private_database(shared_server: Cluster, name: str) -> None:
    corpus = lines(name)
    with (
        pristine(shared_server) as shared,
        pristine(shared_server, "private1") as private,
        running_proxy(shared_server.port, shared) as proxy,
        proxy.connect("acme_app") as seen,
        RawClient("127.0.0.1", shared_server.port, "app", private) as own,
    ):
        answers, expected = replayed(seen, corpus), replayed(own, corpus)
        assert "Traceback" not in proxy.log
    for (line, one), (_, other) in zip(answers, expected, strict=True):
        if "pg_type" in str(line[0]):  # what policy hides has row types, which are hidden with it
            assert rows_of(one) <= rows_of(other)
        else:
            assert one == other, line


@pytest.mark.parametrize("name", CORPORA)
def test_a_recording_reads_and_writes(name: str) -> None:
    words = {str(line[0]).split(maxsplit=1)[0].upper() for line in lines(name)}
    assert words >= {"SELECT", "INSERT", "UPDATE", "DELETE"}
    assert len(lines(name)) > 35


def test_a_recorder_reads_what_is_cut_anywhere(tmp_path: Path) -> None:
    sent = struct.pack("!ii", 9, 196608) + b"\0"
    sent += message(b"Q", b"BEGIN\0") + messages(["SELECT $1", [23], ["0005", None], [1], [0]])
    whole, pieces = Recorder([]), Recorder([])
    whole.feed(sent)
    for at in range(len(sent)):
        pieces.feed(sent[at : at + 1])
    assert whole.lines == pieces.lines == [["BEGIN"], ["SELECT $1", [23], ["0005", None], [1], [0]]]
