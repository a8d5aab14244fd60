"""The process that reads rules answers with all problems, or with the book."""

from __future__ import annotations

import io
import pickle
from pathlib import Path

from proxy.fleet.frames import HEADER, framed
from proxy.fleet.pieces import Joiner
from proxy.fleet.reader import ReadRules, serve
from proxy.tenancy.load import load
from proxy.tenancy.rulebook import RuleBook
from tests.kit.rules import sample_rules


def answer(question: ReadRules) -> tuple[list[str], list[bytes]]:
    """The problems, and the pieces."""
    sink = io.BytesIO()
    serve(io.BytesIO(framed(pickle.dumps(question))), sink)
    sink.seek(0)
    frames = []
    while header := sink.read(HEADER.size):
        frames.append(sink.read(HEADER.unpack(header)[0]))
    return pickle.loads(frames[0]), frames[1:]


def test_it_answers_with_the_book_that_the_proxy_itself_would_load(tmp_path: Path) -> None:
    text = sample_rules(5432, "shared").replace("isolation: row", "isolation: row\npassword: ${env:SERVERS}")
    (tmp_path / "sample.yaml").write_text(text, encoding="utf-8")
    problems, pieces = answer(ReadRules(tmp_path, {"SERVERS": "secret"}, 8))
    assert problems == []
    joiner = Joiner(RuleBook(7, {}, {}, (), ()))
    whole = [joiner.take(one) for one in pieces][-1]
    assert whole == load(tmp_path, {"SERVERS": "secret"}, 8)
    assert whole.generation == 8


def test_it_answers_with_every_problem_and_no_book(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("tenant: a\ncolour: red\n", encoding="utf-8")
    (tmp_path / "b.yaml").write_text("tenant: [\n", encoding="utf-8")
    problems, pieces = answer(ReadRules(tmp_path, {}, 2))
    assert pieces == []
    assert {one.removeprefix(f"{tmp_path}/").split(":")[0] for one in problems} == {"a.yaml", "b.yaml"}
