"""A folder of YAML becomes documents of which every value knows its file and line; so do rows of a table of tenants.

Files are read by libyaml's loader into nodes; the models judge shapes; `${env:NAME}` and `${file:PATH}` are put in
here, for files only: who may write rows need not be allowed to read what the process can. A message never holds the
value of a secret.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from proxy.tenancy.models import KINDS, InvalidDocument, document
from proxy.tenancy.policy import TenantTable
from proxy.tenancy.values import Strict

SECRET = re.compile(r"\$\{(env|file):([^}]+)\}")
Path_ = tuple[str | int, ...]
Spot = Path | tuple[TenantTable, str]
"""Where a document stands: in a file, or in the row of this name."""


@dataclass(slots=True)
class Source:
    """One document, and on which line each of its values stands; of a row there are no lines."""

    file: Path | str  # or the name of the row
    lines: dict[Path_, int] = field(default_factory=dict)
    model: Strict | None = None
    kind: str = ""  # and what it says, also when much of it is wrong
    value: dict[Any, Any] = field(default_factory=dict)

    def at(self, *path: str | int) -> str:
        """file:line of a value, or of the nearest that has a line."""
        wanted: Path_ = path
        while wanted and wanted not in self.lines:
            wanted = wanted[:-1]
        return str(self.file) if isinstance(self.file, str) else f"{self.file}:{self.lines.get(wanted, 1)}"


class Reader:
    """Reads documents; `problems` collects every mistake, as `file:line: text`."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.problems: list[str] = []

    def read(self, directory: Path, instead: Mapping[Spot, str]) -> list[Source]:
        """Every document of every file. instead: texts of files as they shall be, also of those that are not there."""
        if not directory.is_dir():
            self.problems.append(f"{directory}: no such directory")
            return []
        sources = []
        files = {one for one in directory.rglob("*") if one.suffix in (".yaml", ".yml") and one.is_file()}
        for file in sorted(files | {one for one in instead if isinstance(one, Path)}):
            sources += [self._document(file, node) for node in self._nodes(file, instead.get(file))]
        return sources

    def plain(self, file: Path) -> Source:
        """The one document of a file that is no rule file, as it stands there."""
        source = Source(file)
        nodes = self._nodes(file)
        if len(nodes) == 1:
            value = self._value(nodes[0], source, ())
            source.value = value if isinstance(value, dict) else {}
        if not source.value and not self.problems:
            self.problems.append(f"{source.at()}: the file must be one document, a mapping")
        return source

    def _nodes(self, file: Path, text: str | None = None) -> list[yaml.Node]:
        try:
            read = file.read_text(encoding="utf-8") if text is None else text
            return [one for one in yaml.compose_all(read, Loader=yaml.CSafeLoader) if one is not None]
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark is not None else 1
            self.problems.append(f"{file}:{line}: {error.problem}")
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            self.problems.append(f"{file}:1: {type(error).__name__}: the file cannot be read")
        return []

    def _document(self, file: Path, node: yaml.Node) -> Source:
        source = Source(file)
        before = len(self.problems)
        value = self._value(node, source, ())
        return self._modelled(source, value, before)

    def row(self, place: str, text: str) -> Source:
        """The document of one row, in JSON; `place` is what the row is called in messages."""
        source = Source(place)
        before = len(self.problems)
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            self.problems.append(f"{place}: the document cannot be read")
            return source
        if isinstance(value, dict) and "tenant" not in value:
            self.problems.append(f"{place}: the document of a row must be a tenant")
            return source
        if SECRET.search(text):
            self.problems.append(f"{place}: ${{env:…}} and ${{file:…}} are for rule files")
        return self._modelled(source, value, before)

    def _modelled(self, source: Source, value: Any, before: int) -> Source:
        """before: how many problems there were before this document."""
        if not isinstance(value, dict):
            self.problems.append(f"{source.at()}: a document must be a mapping")
            return source
        kinds = [name for name in KINDS if name in value]
        if len(kinds) != 1:
            self.problems.append(f"{source.at()}: a document must have exactly one of {', '.join(KINDS)}")
            return source
        source.kind, source.value = kinds[0], value
        try:
            model = document(source.kind, value)
        except InvalidDocument as error:
            self.problems += [f"{source.at(*path)}: {_dotted(path)}{text}" for path, text in error.mistakes]
            return source
        if len(self.problems) == before:
            source.model = model
        return source

    def _value(self, node: yaml.Node, source: Source, path: Path_) -> Any:
        source.lines[path] = node.start_mark.line + 1
        if isinstance(node, yaml.MappingNode):
            found: dict[Any, Any] = {}
            for key_node, value_node in node.value:
                key = self._scalar(key_node, source)
                where = (*path, key)
                value = self._value(value_node, source, where)
                source.lines[where] = key_node.start_mark.line + 1
                if key in found:
                    self.problems.append(f"{source.file}:{key_node.start_mark.line + 1}: duplicate key {key}")
                found[key] = value
            return found
        if isinstance(node, yaml.SequenceNode):
            return [self._value(one, source, (*path, number)) for number, one in enumerate(node.value)]
        value = self._scalar(node, source)
        return self._secret(value, source, path) if isinstance(value, str) else value

    def _scalar(self, node: yaml.Node, source: Source) -> Any:
        if not isinstance(node, yaml.ScalarNode):
            self.problems.append(f"{source.file}:{node.start_mark.line + 1}: a key must be a plain word")
            return ""
        if node.tag == "tag:yaml.org,2002:int":
            return int(node.value) if re.fullmatch(r"[-+]?[0-9]+", node.value) else node.value
        if node.tag == "tag:yaml.org,2002:float":
            return float(node.value)
        if node.tag == "tag:yaml.org,2002:bool":
            return node.value.lower() in ("true", "yes", "on")
        return None if node.tag == "tag:yaml.org,2002:null" else str(node.value)

    def _secret(self, value: str, source: Source, path: Path_) -> str:
        def replace(found: re.Match[str]) -> str:
            try:
                return secret(found, self.environ, Path(source.file).parent)
            except LookupError as error:
                self.problems.append(f"{source.at(*path)}: {error.args[0]}")
                return ""

        return SECRET.sub(replace, value)


def secret(found: re.Match[str], environ: Mapping[str, str], folder: Path) -> str:
    """What stands behind a match of SECRET in a file of this folder. LookupError where nothing does."""
    kind, name = found.groups()
    if kind == "env":
        if name not in environ:
            raise LookupError(f"the environment has no {name}")
        return environ[name]
    try:
        return (folder / name).read_text(encoding="utf-8").removesuffix("\n")
    except (OSError, UnicodeDecodeError):
        raise LookupError(f"the file {name} cannot be read") from None


def _dotted(path: tuple[int | str, ...]) -> str:
    return "".join(f"{part}: " for part in path[-2:]) if path else ""
