"""The generated parts of docs/architecture.md: from the import contracts, the real imports and the planner's own text.

`python -m tests.kit.diagrams` writes them between their markers; tests/docs/test_architecture.py compares.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from proxy.session import copy
from proxy.session.conversation import Phase
from proxy.session.extended import HANDLERS
from proxy.sql.families import FAMILIES
from proxy.sql.rewrite import ALWAYS, RULES

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGE = ROOT / "proxy"
PAGE = ROOT / "docs" / "architecture.md"
COMMAND = "python -m tests.kit.diagrams"
MARKERS = re.compile(r"(<!-- made: (\w+) -->\n).*?(<!-- end: \2 -->)", re.DOTALL)

# Calls by which a process or a socket comes into being, and how the diagram of doors names them.
DOORS = {
    "create_server": "listens",
    "start_unix_server": "listens",
    "open_unix_connection": "connects",
    "HTTPConnection": "connects",
    "create_connection": "connects",
    "asyncpg.connect": "connects with asyncpg",
    "create_subprocess_exec": "starts",
    "Popen": "starts",
}
# The planner's calls that only name a text, for metrics and audit; those of PREPARE, which goes the same way twice; and
# those for a long list, which goes it with three items.
BESIDE = {
    "kind_of", "masked", "setting_calls", "cursor_of", "_prepare", "declared_types", "require_one_name",
    "arguments", "refuse_names", "is_whole", "plan_text", "rejected", "collapse", "unroll", "baked",
    "classify_path", "check_settings", "with_path", "plan_definition",
}  # fmt: skip
MESSAGES = {
    "Q": "Query", "P": "Parse", "B": "Bind", "D": "Describe", "E": "Execute", "C": "Close", "S": "Sync", "H": "Flush",
    "X": "Terminate", "F": "FunctionCall", "d": "CopyData", "c": "CopyDone", "f": "CopyFail",
}  # fmt: skip


def contracts() -> list[dict[str, Any]]:
    """import-linter's contracts."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    found: list[dict[str, Any]] = project["tool"]["importlinter"]["contracts"]
    return found


def storeys(package: Path = PACKAGE) -> list[list[str]]:
    """The layers from the top; neighbours in one list; what is only allowed to exist is left out."""
    (contract,) = [one for one in contracts() if one["type"] == "layers"]
    layers = [[name.strip(" ()") for name in line.split("|")] for line in contract["layers"]]
    there = [[one for one in layer if _exists(package, one)] for layer in layers]
    return [layer for layer in there if layer]


def _exists(package: Path, name: str) -> bool:
    return (package / f"{name}.py").is_file() or (package / name / "__init__.py").is_file()


def imports(package: Path = PACKAGE) -> dict[str, set[str]]:
    """Room -> rooms that its modules import when they run; what stands under TYPE_CHECKING is left out."""
    found: dict[str, set[str]] = {}
    for file in sorted(package.rglob("*.py")):
        room = file.relative_to(package).parts[0].removesuffix(".py")
        if room == "__init__":
            continue
        own = found.setdefault(room, set())
        for node in _running(ast.parse(file.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.ImportFrom):
                module = node.module or ""
                names = [f"{module}.{one.name}" for one in node.names] if module == "proxy" else [module]
            elif isinstance(node, ast.Import):
                names = [one.name for one in node.names]
            own |= {name.split(".")[1] for name in names if name.startswith("proxy.")}
        own.discard(room)
        own.discard("__version__")
    return found


def _running(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from _running(child)


def reduced(graph: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """The edges that are left when everything that is also reached in two steps or more is taken away."""

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        waiting = list(graph.get(start, ()))
        while waiting:
            one = waiting.pop()
            if one not in seen:
                seen.add(one)
                waiting += graph.get(one, ())
        return seen

    far = {one: set().union(*(reached(next_) for next_ in graph[one])) for one in graph}
    return {one: graph[one] - far[one] for one in graph}


def storeys_diagram() -> str:
    """Every folder on its storey; an arrow is an import that no longer way replaces."""
    lines = ["```mermaid", "flowchart TB"]
    for number, layer in enumerate(storeys(), 1):
        nodes = [f'{_id(one)}["{one}"]' for one in layer]
        if len(nodes) == 1:
            lines.append(f"  {nodes[0]}")
        else:
            lines += [f"  subgraph storey{number}[ ]", "    direction LR", *(f"    {one}" for one in nodes), "  end"]
    edges = reduced(imports())
    lines += [f"  {_id(one)} --> {_id(other)}" for layer in storeys() for one in layer for other in sorted(edges[one])]
    return "\n".join([*lines, "```"])


def _id(name: str) -> str:
    return name.strip("_") if name != "__main__" else "program"


def rooms_table() -> str:
    """What each folder is, in its own words, and what it imports."""
    graph = imports()
    order = [one for layer in storeys() for one in layer]
    lines = ["| folder | in its own words | imports |", "| --- | --- | --- |"]
    for name in order:
        file = PACKAGE / f"{name}.py" if (PACKAGE / f"{name}.py").is_file() else PACKAGE / name / "__init__.py"
        said = (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").split("\n\n", 1)[0]
        first = re.split(r"(?<=\.)\s", " ".join(said.split()))[0].replace("|", "\\|")
        targets = ", ".join(f"`{one}`" for one in order if one in graph[name])
        lines.append(f"| `{name}` | {first} | {targets or 'nothing'} |")
    return "\n".join(lines)


def contracts_list() -> str:
    """The contracts by their names, which are sentences."""
    return "\n".join(f"- {one['name']}." for one in contracts())


def stations() -> list[str]:
    """What the planner calls for a query, in the order of its text: functions that it imports from sql. What the
    families of statements call stands in families.py.
    """
    return list(dict.fromkeys(_calls_of("compute", frozenset())))


def _calls_of(start: str, whole: frozenset[str]) -> Iterator[str]:
    """whole: functions of the planner's own that are not looked into."""
    trees = [ast.parse((PACKAGE / "sql" / name).read_text(encoding="utf-8")) for name in ("planner.py", "families.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    known = {
        one.name
        for node in nodes
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("proxy.sql.")
        for one in node.names
        if one.name[0].islower() and one.name not in BESIDE
    }
    functions = {one.name: one for one in nodes if isinstance(one, ast.FunctionDef)}
    functions["drafted"] = functions["confine"]  # the way of a query
    return _calls(functions[start], (known - functions.keys()) | whole, functions, set())


def _calls(node: ast.AST, known: set[str], functions: Mapping[str, ast.FunctionDef], seen: set[str]) -> Iterator[str]:
    """Each function of the planner's own is looked into once."""
    for child in ast.iter_child_nodes(node):
        yield from _calls(child, known, functions, seen)
        if isinstance(child, ast.Call):
            name = ast.unparse(child.func).removeprefix("self.")
            if name in known:
                yield name
            elif name in functions and name not in seen | BESIDE:
                seen.add(name)
                yield from _calls(functions[name], known, functions, seen)


def families_table() -> str:
    """The families of statements, and the stations of each between classify and render."""
    rows = ["| statement | family | stations |", "| --- | --- | --- |"]
    names = frozenset(one.__name__ for one in FAMILIES.values())
    for family in dict.fromkeys(FAMILIES.values()):
        kinds = ", ".join(f"`{kind}`" for kind, one in FAMILIES.items() if one is family)
        passed = ", ".join(_calls_of(family.__name__, names)) or "none"
        rows.append(f"| {kinds} | {(family.__doc__ or '').strip()} | {passed} |")
    return "\n".join(rows)


def statement_diagram() -> str:
    """The way of a statement that no cache knows, from text to Forward."""
    lines = ["```mermaid", "flowchart TB", '  text(["text of the client"])', '  subgraph planner["Planner.compute"]']
    before = ""
    for number, name in enumerate(stations(), 1):
        label = name
        if name == "rewrite":
            rules = "<br/>".join(one.__name__ for one in (*ALWAYS, *RULES))
            label = f"<b>rewrite</b><br/>{rules}"
        lines.append(f'    n{number}["{label}"]')
        if before:
            lines.append(f"    {before} --> n{number}")
        before = f"n{number}"
    lines += ["  end", "  text --> n1", f'  {before} --> forward(["Forward: may be sent"])']
    lines.append('  planner -. any Refusal .-> reject(["Reject: nothing leaves"])')
    return "\n".join([*lines, "```"])


def doors() -> list[tuple[str, str]]:
    """(module, how) of every place where the package opens a socket or starts a process."""
    found = set()
    for file in sorted(PACKAGE.rglob("*.py")):
        module = file.relative_to(PACKAGE).with_suffix("").as_posix()
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                for name, how in DOORS.items():
                    if called == name or called.endswith(f".{name}"):
                        found.add((module, how))
    return sorted(found)


def doors_table() -> str:
    """Every door of the house."""
    lines = ["| module | door |", "| --- | --- |"]
    return "\n".join([*lines, *(f"| `{module}` | {how} |" for module, how in doors())])


def messages_table() -> str:
    """The phases of a session, and who answers which message in the last of them but one."""
    lines = [f"Phases: {', '.join(f'`{one.name}`' for one in Phase)}.", "", "| message in `READY` | handler |"]
    lines.append("| --- | --- |")
    for tag, handler in HANDLERS.items():
        where = f"{handler.__module__.removeprefix('proxy.').replace('.', '/')}.{handler.__name__}"
        lines.append(f"| {MESSAGES[chr(tag)]} | `{where}` |")
    lines += [
        "| anything else | 08P01 |",
        "",
        "| message while the server takes rows of COPY | handler |",
        "| --- | --- |",
    ]
    for tag, handler in copy.HANDLERS.items():
        lines.append(f"| {MESSAGES[chr(tag)]} | `session/copy.{handler.__name__}` |")
    return "\n".join([*lines, "| anything else | 08P01 |"])


PARTS = {
    "storeys": storeys_diagram,
    "rooms": rooms_table,
    "contracts": contracts_list,
    "statement": statement_diagram,
    "families": families_table,
    "doors": doors_table,
    "messages": messages_table,
}


def renewed(text: str) -> str:
    """The page with every generated part made anew."""
    return MARKERS.sub(lambda found: f"{found[1]}{PARTS[found[2]]()}\n{found[3]}", text)


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"{PAGE.relative_to(ROOT)} is up to date")
