"""The import contracts have teeth: each kind of import that the architecture forbids is caught by the contract for it.

A house of empty rooms is built beside the real one, with the real contracts; then one wrong import is put in.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

ROOMS = (
    "__main__ app errors settings admin/metrics auth/scram backend/state catalog/connect catalog/introspect"
    " catalog/model cli/serve demo/tour fleet/planning observe/log pool/ledger quota/fairness server/client"
    " session/query sql/parse sql/permit sql/plan sql/resolve sql/rewrite/rules sql/scope sql/verify tenancy/load"
    " tenancy/models tenancy/policy wire/framing"
)

ALLOWED = {
    "app": "import asyncio, proxy.settings, proxy.server.client, proxy.pool.ledger",
    "catalog/connect": "import asyncio, asyncpg",
    "cli/serve": "import proxy.app, proxy.settings",
    "pool/ledger": "import proxy.backend.state",
    "server/client": "import asyncio, proxy.session.query",
    "sql/parse": "import pglast.parser, proxy.catalog.model",
    "sql/verify": "import proxy.sql.parse, proxy.sql.plan, proxy.catalog.model, proxy.tenancy.policy, proxy.errors",
    "settings": "import pydantic, pydantic_settings",
    "tenancy/models": "import pydantic",
}

# Room, what is wrongly imported there, and the contract that says no.
FORBIDDEN = [
    ("wire/framing", "proxy.session.query", "A storey imports only"),
    ("wire/framing", "proxy.tenancy.policy", "A storey imports only"),
    ("pool/ledger", "proxy.session.query", "A storey imports only"),
    ("server/client", "proxy.app", "A storey imports only"),
    ("attic/box", "sys", "A storey imports only"),
    ("session/query", "time", "What decides is pure"),
    ("sql/scope", "os.path", "What decides is pure"),
    ("quota/fairness", "time", "What decides is pure"),
    ("quota/fairness", "proxy.sql.plan", "A storey imports only"),
    ("tenancy/load", "asyncio", "What decides is pure"),
    ("auth/scram", "secrets", "What decides is pure"),
    ("sql/permit", "proxy.observe.log", "What decides is pure"),
    ("sql/permit", "proxy.catalog.connect", "What decides is pure"),
    ("catalog/model", "pglast", "Only sql knows pglast"),
    ("pool/ledger", "asyncpg", "Only catalog knows asyncpg"),
    ("tenancy/policy", "pydantic", "pydantic stands only"),
    ("fleet/planning", "redis", "Only the counter store"),
    ("app", "pydantic", "pydantic stands only"),
    ("server/client", "proxy.settings", "Only app and cli read"),
    ("sql/verify", "proxy.sql.scope", "The verifier shares no code"),
    ("sql/parse", "proxy.sql.rewrite.rules", "The verifier shares no code"),
]


def build(where: Path, more: dict[str, str]) -> None:
    """Write the empty rooms, with what each imports."""
    rooms = {room: ALLOWED.get(room, "") for room in ROOMS.split()}
    for room, line in more.items():
        rooms[room] = rooms.get(room, "") + f"\n{line}"
    for room, text in rooms.items():
        path = where / "proxy" / f"{room}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n", encoding="utf-8")
    for folder in {path.parent for path in (where / "proxy").rglob("*.py")}:
        (folder / "__init__.py").touch()
    (where / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())


def lint(where: Path) -> subprocess.CompletedProcess[str]:
    """What the command says about the house in this folder."""
    program = "import sys; from importlinter.cli import lint_imports_command as run; run()"
    return subprocess.run(
        [sys.executable, "-c", program, "--no-cache", "--no-logo"],
        cwd=where,
        check=False,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )


def broken(said: str) -> str:
    """The report's last part, about the contracts that do not hold, with its line breaks undone."""
    return " ".join(said.partition("Broken contracts")[2].split())


def test_the_imports_that_the_architecture_allows_are_kept(tmp_path: Path) -> None:
    build(tmp_path, {})
    said = lint(tmp_path)
    assert said.returncode == 0, said.stdout + said.stderr


@pytest.mark.parametrize(("room", "imported", "contract"), FORBIDDEN)
def test_an_import_that_the_architecture_forbids_is_caught(
    room: str, imported: str, contract: str, tmp_path: Path
) -> None:
    build(tmp_path, {room: f"import {imported}"})
    said = lint(tmp_path)
    assert said.returncode == 1, said.stdout + said.stderr
    assert contract in broken(said.stdout)


def test_a_cycle_between_two_modules_of_a_folder_is_caught(tmp_path: Path) -> None:
    build(tmp_path, {"sql/scope": "import proxy.sql.permit", "sql/permit": "import proxy.sql.scope"})
    said = lint(tmp_path)
    assert said.returncode == 1, said.stdout + said.stderr
    assert "No cycles at any depth" in broken(said.stdout)
