"""The house itself: every module says what it promises, stays small and has its twin; what the root offers is there.

Rules about imports are import-linter's (pyproject.toml); here stands only what it cannot say.
"""

from __future__ import annotations

import ast
import re
import stat
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "proxy"

LINES = 400

# Which modules have no test file of their own, and why that is right. `*` stands for one folder's files.
WITHOUT_TWIN = {
    "__init__.py": "docstring, version and names only; the modules behind it are tested",
    "*/__init__.py": "as the package's",
    "*/*/__init__.py": "as the package's",
    "*/*/*/__init__.py": "as the package's",
    "__main__.py": "two lines; every test that starts the command runs them",
    "sql/data/*.py": "generated tables; tests/sql checks them against a live server",
}

# What must not stand in a file of the project: where somebody built it, and work that was left for later.
MACHINE = re.compile(r"/(?:work|root|home/\w+|opt/pypi\w*|tmp/pw)(?=/)|\b(?:localhost|127\.0\.0\.1):\d+/simple\b")
ATOMS = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]")
POSSESSIVE = re.compile(r"[*+?}]\+|\(\?>")
UNDONE = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK)\b")
TEXT = {
    "",
    ".cfg",
    ".in",
    ".json",
    ".lock",
    ".md",
    ".py",
    ".pyi",
    ".pyx",
    ".sh",
    ".sql",
    ".toml",
    ".tsv",
    ".txt",
    ".yaml",
    ".yml",
}

# The corpora are data that describe attacks and answers; their words are not the project's.
CORPORA = {"tests/data/attacks.yaml", "tests/data/legit.sql", "tests/data/schema.sql", "tests/data/odd-types.sql"}

VERIFIER_MAY_IMPORT = {
    "proxy.catalog.model",
    "proxy.errors",
    "proxy.sql.parse",
    "proxy.sql.plan",
    "proxy.tenancy.policy",
}


def modules() -> list[str]:
    """Every Python file of the package, relative to it."""
    return sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))


def tracked() -> list[str]:
    """The files of the project as git knows them (new ones too), or all of them where there is no git."""
    try:
        listed = subprocess.run(
            ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            check=True,
            capture_output=True,
            encoding="utf-8",
        ).stdout.split("\0")
        names = [name for name in listed if name]
    except (OSError, subprocess.CalledProcessError):
        hidden = re.compile(r"^\.(?!ci/|gitignore$|dockerignore$)|(^|/)__pycache__/|\.egg-info/")
        paths = (path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*") if path.is_file())
        names = [name for name in paths if not hidden.search(name)]
    return sorted(name for name in names if (ROOT / name).is_file() and Path(name).suffix in TEXT)


def without_twin(module: str) -> str | None:
    """The reason why this module needs no twin, or None."""
    parts = module.split("/")
    for pattern, reason in WITHOUT_TWIN.items():
        wanted = pattern.split("/")
        if len(wanted) == len(parts) and all(
            re.fullmatch(re.escape(want).replace(r"\*", "[^/]*"), part)
            for want, part in zip(wanted, parts, strict=True)
        ):
            return reason
    return None


def twin(module: str) -> Path:
    """Where the tests of this module are: proxy/wire/framing.py -> tests/wire/test_framing.py."""
    path = Path(module)
    return ROOT / "tests" / path.parent / f"test_{path.name}"


def imports_of(module: str) -> set[str]:
    """The modules of this package that a file imports, by their full names; names imported from them left out."""
    found: set[str] = set()
    for node in ast.walk(ast.parse((PACKAGE / module).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}:{node.lineno} imports relatively; the contracts read full names"
            source = node.module or ""
            for name in node.names:
                inner = PACKAGE.parent / f"{source}.{name.name}".replace(".", "/")
                is_module = inner.with_suffix(".py").is_file() or inner.is_dir()
                found.add(f"{source}.{name.name}" if is_module else source)
    return {name for name in found if name.split(".")[0] == "proxy"}


def complaints(of: list[str], pattern: re.Pattern[str]) -> list[str]:
    """Each match in these files as file:line: text."""
    found = []
    for name in of:
        text = (ROOT / name).read_text(encoding="utf-8", errors="replace")
        if pattern.search(text):
            found += [
                f"{name}:{n}: {line.strip()[:80]}"
                for n, line in enumerate(text.splitlines(), 1)
                if pattern.search(line)
            ]
    return found


@pytest.mark.parametrize("module", modules())
def test_every_module_says_in_two_to_ten_lines_what_it_promises(module: str) -> None:
    said = ast.get_docstring(ast.parse((PACKAGE / module).read_text(encoding="utf-8")))
    assert said, f"proxy/{module} has no docstring"
    if not module.endswith("__init__.py"):
        assert len(said.splitlines()) <= 12, f"proxy/{module} opens with {len(said.splitlines())} lines"


@pytest.mark.parametrize("module", modules())
def test_every_module_holds_one_idea(module: str) -> None:
    lines = len((PACKAGE / module).read_text(encoding="utf-8").splitlines())
    assert lines < LINES, f"proxy/{module} has {lines} lines: it holds two ideas, give each its own file"


@pytest.mark.parametrize("module", [module for module in modules() if without_twin(module) is None])
def test_every_module_has_its_twin(module: str) -> None:
    path = twin(module)
    assert path.is_file(), f"proxy/{module} has no {path.relative_to(ROOT)}"
    assert re.search(r"^\s*(?:async )?def test_\w+", path.read_text(encoding="utf-8"), re.MULTILINE), (
        f"{path} tests nothing"
    )


def test_every_exemption_from_having_a_twin_is_needed() -> None:
    reasons = {without_twin(module) for module in modules()}
    unused = {pattern for pattern, reason in WITHOUT_TWIN.items() if reason not in reasons}
    # The generated tables and the entry point come with their folders.
    assert unused <= {"sql/data/*.py", "__main__.py"}


def test_every_folder_of_the_package_can_be_imported() -> None:
    folders = {path.parent for path in PACKAGE.rglob("*.py")}
    missing = [str(folder.relative_to(ROOT)) for folder in folders if not (folder / "__init__.py").is_file()]
    assert not missing, "without __init__.py import-linter does not see them"


def test_no_file_knows_the_machine_it_was_written_on() -> None:
    assert complaints([name for name in tracked() if name not in CORPORA], MACHINE) == []


def test_nothing_is_left_for_later() -> None:
    assert complaints([name for name in tracked() if name not in CORPORA], UNDONE) == []


def test_no_test_is_deselected() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["pytest"]["ini_options"]
    assert "markers" not in config
    assert "--strict-markers" in config["addopts"]
    hooks = re.compile(r"def pytest_(?:collection_modify|ignore_)\w+|pytest_desel" + r"ected")
    assert complaints([name for name in tracked() if name.endswith("conftest.py")], hooks) == []


def test_no_test_is_skipped_and_no_error_is_waved_through() -> None:
    waved = re.compile(
        r"pytest\.(?:mark\.)?(?:sk" + r"ip|skip" + r"if|xf" + r"ail|import" + r"orskip)\b"
        r"|unittest\.mo" + r"ck|#\s*type: ig" + r"nore(?!\[[\w-]+(?:, ?[\w-]+)*\]\s*#\s*\S)"
    )
    assert complaints([name for name in tracked() if name.endswith(".py")], waved) == []


def test_test_names_are_sentences() -> None:
    short = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^\s*(?:async )?def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
        if name.count("_") < 3
    ]
    assert short == []


def test_the_verifier_knows_nothing_of_what_it_verifies() -> None:
    own = [module for module in modules() if module.startswith("sql/verify/")]
    assert own
    for module in own:
        foreign = {name for name in imports_of(module) if not name.startswith("proxy.sql.verify")}
        assert foreign <= VERIFIER_MAY_IMPORT, module


def test_every_ignored_lint_rule_has_its_reason() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert tomllib.loads(text)["tool"]["ruff"]["lint"]["ignore"]
    start = text.index("\nignore = [")
    block = text[start : text.index("[tool.ruff.lint.pylint]")]
    entries = re.findall(r'^\s+"[A-Z]+[0-9]*",(.*)$', block, re.MULTILINE)
    assert entries
    assert all(re.fullmatch(r"\s+# \S.{6,}", rest) for rest in entries), entries
    coded = re.compile(r"#\s*no" + r"qa(?!: [A-Z]+[0-9]+(?:, ?[A-Z]+[0-9]+)*\s+\S)")
    assert complaints([name for name in tracked() if name.endswith(".py")], coded) == []


@pytest.mark.parametrize("module", modules())
def test_no_pattern_is_possessive(module: str) -> None:
    """Before 3.11.5, and so on Debian 12, Python's `re` stops such a repetition too early (gh-106052)."""
    for node in ast.walk(ast.parse((PACKAGE / module).read_text(encoding="utf-8"))):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="re")), args=[ast.Constant(value=pattern), *_]):
                text = pattern.decode("latin-1") if isinstance(pattern, bytes) else str(pattern)
                assert not POSSESSIVE.search(ATOMS.sub("x", text)), text
            case _:
                pass


def test_the_makefile_offers_what_the_readme_promises() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", text, re.MULTILINE))
    assert {"demo", "test", "lint", "bench", "test-long", "kills", "clean"} <= targets
    phony = set(re.findall(r"[a-z-]+", text[text.index(".PHONY:") :].splitlines()[0])) - {"PHONY"}
    assert targets <= phony


def test_the_lock_pins_every_dependency_with_hashes_and_names_no_index() -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    pins = re.findall(r"^([a-z0-9-]+)==[^ ]+(?: ; [^\\]+)? \\\n    --hash=sha256:[0-9a-f]{64}", lock, re.MULTILINE)
    assert len(pins) == len(re.findall(r"^[^\s#]", lock, re.MULTILINE))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    wanted = {re.split(r"[^\w-]", line, maxsplit=1)[0].lower() for group in groups for line in group}
    assert wanted <= set(pins)
    assert not re.search(r"https?:|file:|--(?:extra-)?index|--find-links", lock)


def test_the_ci_script_runs_lint_and_tests() -> None:
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & stat.S_IXUSR
    subprocess.run(["bash", "-n", str(script)], check=True)
    assert script.read_text(encoding="utf-8").endswith("make lint\nmake test\n")


def test_the_compose_file_names_three_services_and_only_files_that_exist() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    services = compose["services"]
    assert {"postgres", "proxy", "prometheus"} == set(services)
    assert "ports" not in services["postgres"], "nobody walks around the wall"
    for service in services.values():
        assert ("image" in service) != ("build" in service)
        assert {"configs", *service.get("depends_on", ())} - {"configs"} <= set(services)
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            there = (ROOT / source).exists() if source.startswith(".") else source in compose["volumes"]
            assert there, f"{source} does not exist"
        for config in service.get("configs", ()):
            assert config["source"] in compose["configs"]
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:")
    needed = set(re.findall(r"\$\{env:(\w+)\}", (ROOT / "rules" / "shop.yaml").read_text(encoding="utf-8")))
    assert needed <= set(services["proxy"]["environment"])
    assert services["proxy"]["environment"]["SHOP_SERVER"] == "postgres:5432"
    scraped = yaml.safe_load((ROOT / "docs" / "prometheus.yml").read_text(encoding="utf-8"))["scrape_configs"]
    assert scraped[0]["static_configs"][0]["targets"] == ["proxy:6433"]


def test_the_image_is_made_of_files_that_exist_and_runs_as_nobody_in_particular() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = [word for line in re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.MULTILINE) for word in line.split()]
    assert copied
    assert [name for name in copied if not (ROOT / name).exists() or name not in allowed] == []
    assert re.search(r"^USER (?!root|0)\w+$", text, re.MULTILINE)
    assert text.index("\nUSER ") < text.index("\nENTRYPOINT ")
    assert 'ENTRYPOINT ["partywall", "serve"]' in text
    assert "alpine" not in re.sub(r"#.*", "", text).lower()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = project["optional-dependencies"]
    (removed,) = re.findall(r"pip uninstall --yes ((?:.*\\\n)*.*)$", text, re.MULTILINE)
    needless = {re.split(r"[^\w-]", line, maxsplit=1)[0] for group in ("demo", "dev") for line in groups[group]}
    assert needless - {"setuptools"} <= set(removed.split()), "what only tests and the demo need is not in the image"


def test_the_licence_is_the_gpl() -> None:
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "GNU GENERAL PUBLIC LICENSE" in text
    assert "Version 3, 29 June 2007" in text
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["license"] == "GPL-3.0-or-later"
