"""docs/architecture.md agrees with the code: what is generated is current, and the generator sees what it must see."""

from __future__ import annotations

from pathlib import Path

from tests.kit import diagrams


def test_the_generated_parts_of_the_page_are_current() -> None:
    page = diagrams.PAGE.read_text(encoding="utf-8")
    assert {found[1] for found in diagrams.MARKERS.findall(page)} == set(diagrams.PARTS)
    assert diagrams.renewed(page) == page, f"docs/architecture.md is out of date; run: {diagrams.COMMAND}"


def test_every_folder_stands_on_a_storey_and_every_arrow_goes_down() -> None:
    layers = diagrams.storeys()
    floor = {name: number for number, layer in enumerate(layers) for name in layer}
    graph = diagrams.imports()
    assert set(graph) == set(floor)
    upwards = {(one, other) for one, others in graph.items() for other in others if floor[one] >= floor[other]}
    assert upwards == set()


def test_a_new_import_changes_the_diagram(tmp_path: Path) -> None:
    for name, text in {"errors": "", "wire": "import proxy.errors", "pool": "from proxy.wire import x"}.items():
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
    assert diagrams.imports(tmp_path) == {"errors": set(), "wire": {"errors"}, "pool": {"wire"}}
    (tmp_path / "pool.py").write_text("from proxy import wire, errors\n", encoding="utf-8")
    assert diagrams.imports(tmp_path)["pool"] == {"wire", "errors"}


def test_an_import_for_the_type_checker_is_no_arrow(tmp_path: Path) -> None:
    text = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import proxy.wire\nimport proxy.errors\n"
    (tmp_path / "pool.py").write_text(text, encoding="utf-8")
    assert diagrams.imports(tmp_path)["pool"] == {"errors"}


def test_an_arrow_that_a_longer_way_replaces_is_left_out() -> None:
    graph = {"a": {"b", "c"}, "b": {"c"}, "c": set[str]()}
    assert diagrams.reduced(graph) == {"a": {"b"}, "b": {"c"}, "c": set()}


def test_the_way_of_a_statement_ends_with_its_proof() -> None:
    stations = diagrams.stations()
    assert stations[-1] == "verify_fillings"
    assert stations.index("parse") < stations.index("permit") < stations.index("rewrite") < stations.index("render")


def test_the_doors_are_those_that_were_meant() -> None:
    served = {module for module, _ in diagrams.doors() if not module.startswith("demo/")}
    assert served == {
        "admin/http",
        "app/backups",
        "app/supervision",
        "backup/definitions",
        "catalog/connect",
        "doctor/canary",
        "fleet/channel",
        "fleet/planning",
        "fleet/reading",
        "fleet/remote",
        "fleet/stores/local",
        "pool/dial",
        "server/sockets",
    }
