"""The log: one JSON object per line, or a line for people; below the level nothing."""

from __future__ import annotations

import io
import json

from proxy.observe.log import configure, get_logger


def test_every_line_is_one_json_object_with_level_and_part() -> None:
    out = io.StringIO()
    configure("json", "info", out)
    get_logger("pool").warning("lost", reason="a\nb")
    (line,) = out.getvalue().splitlines()
    said = json.loads(line)
    assert (said["event"], said["level"], said["part"], said["reason"]) == ("lost", "warning", "pool", "a\nb")
    assert said["timestamp"].endswith("Z")


def test_below_the_level_nothing_is_said() -> None:
    out = io.StringIO()
    configure("json", "warning", out)
    get_logger("pool").info("quiet")
    assert out.getvalue() == ""


def test_an_exception_is_part_of_its_line() -> None:
    out = io.StringIO()
    configure("json", "info", out)
    try:
        raise RuntimeError("broken")
    except RuntimeError:
        get_logger("app").exception("bug")
    (line,) = out.getvalue().splitlines()
    assert "RuntimeError: broken" in json.loads(line)["exception"]


def test_for_people_it_is_plain_text_without_colours_in_a_file() -> None:
    out = io.StringIO()
    configure("console", "info", out)
    get_logger("app").info("ready", port=6432)
    assert "ready" in out.getvalue()
    assert "port=6432" in out.getvalue()
    assert "\x1b" not in out.getvalue()
