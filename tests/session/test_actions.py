"""Every action that a session can ask for is performed by the server: none is forgotten, none can be changed."""

from __future__ import annotations

import ast
import inspect
from dataclasses import FrozenInstanceError
from typing import get_args

import pytest

from proxy.server import client
from proxy.session import actions


def test_the_server_performs_every_kind_of_action() -> None:
    (body,) = [one for one in ast.walk(ast.parse(inspect.getsource(client))) if getattr(one, "name", "") == "_do"]
    handled = {
        one.cls.id for one in ast.walk(body) if isinstance(one, ast.MatchClass) and isinstance(one.cls, ast.Name)
    }
    assert handled == {one.__name__ for one in get_args(actions.Action)}


def test_an_action_cannot_be_changed_on_its_way() -> None:
    with pytest.raises(FrozenInstanceError):
        actions.LeaseBackend(1).ticket = 2  # type: ignore[misc]  # the point of the test
