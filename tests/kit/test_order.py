"""Slow files are given out before all but those of many tests, the others as they came; and the run goes by that."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.docs.pages import ROOT
from tests.kit.order import MANY, SECONDS, SlowestFirst


def test_after_files_of_many_tests_the_slowest_comes_first_and_the_others_as_they_came() -> None:
    queue = SlowestFirst()
    slow = sorted(SECONDS, key=lambda one: SECONDS[one])
    for file, count in (("tests/many.py", MANY), ("tests/b.py", 9), (slow[0], 8), ("tests/a.py", 7), (slow[-1], 1)):
        queue[file] = {f"{file}::test_{number}": False for number in range(count)}
    taken = [queue.popitem(last=False)[0] for _ in range(5)]
    assert taken == ["tests/many.py", slow[-1], slow[0], "tests/b.py", "tests/a.py"]
    assert not queue


def test_every_file_that_is_called_slow_is_there() -> None:
    assert [one for one in SECONDS if not (ROOT / one).is_file()] == []


def test_a_run_on_several_workers_goes_by_it(tmp_path: Path) -> None:
    """Seen in a run of two files, of which the one that is called slow has fewer tests."""
    (tmp_path / "conftest.py").write_text("from tests.conftest import pytest_xdist_make_scheduler\n", "utf-8")
    many = tmp_path / "tests" / "test_many.py"
    slow = tmp_path / max(SECONDS, key=lambda one: SECONDS[one])
    for path, count in ((many, 9), (slow, 3)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"def test_{n}() -> None:\n    assert True\n" for n in range(count)), "utf-8")
    command = [sys.executable, "-m", "pytest", "-v", "-n", "1", "--dist", "loadfile", "-p", "no:randomly"]
    command += ["-p", "no:cacheprovider", "--import-mode=importlib", "-o", "addopts=", "--rootdir", str(tmp_path)]
    done = subprocess.run(
        [*command, "-c", "/dev/null", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    ran = re.findall(r"PASSED\s.*?(tests/\S+?)::", done.stdout)
    assert ran == [slow.relative_to(tmp_path).as_posix()] * 3 + ["tests/test_many.py"] * 9, done.stdout
