"""One command at a time works on a move."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

from proxy.cli.orders import held
from proxy.errors import ConfigurationError


def test_who_holds_it_is_alone(tmp_path: Path) -> None:
    path = tmp_path / "globex@shop.json"
    with pytest.raises(ConfigurationError, match="no move of globex was begun here"), held(path, "globex"):
        raise AssertionError("nobody may come here")
    path.write_text("{}", "utf-8")
    with held(path, "globex"):
        with pytest.raises(ConfigurationError, match="another command is moving globex"), held(path, "globex"):
            raise AssertionError("nobody may come here")
        path.unlink()
    path.write_text("{}", "utf-8")
    with held(path, "globex"):
        pass


def test_what_was_taken_away_before_the_lock_came_is_not_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "globex@shop.json"
    path.write_text("{}", "utf-8")
    original = fcntl.flock

    def late(file: int, how: int) -> None:
        original(file, how)
        path.unlink()

    monkeypatch.setattr(fcntl, "flock", late)
    with pytest.raises(ConfigurationError, match="no move of globex was begun here"), held(path, "globex"):
        raise AssertionError("nobody may come here")
