"""`make fuzz`: long runs, coverage guided by atheris, over the targets; the corpus grows by what reaches something new.

Arguments: names of targets (all of them), --seconds for each. tests/fuzz/corpus/NAME.txt holds an input per line, as
base64; --keep adds those that reached something that none before them did. A find is written to .fuzz/ as crash-… by
libFuzzer and ends the run with its status: add it to the corpus, and make it a test of its own.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from base64 import b64decode, b64encode
from pathlib import Path

CORPUS = Path(__file__).with_name("corpus")
WORK = Path(".fuzz")
NAMES = ("codec", "scram", "lifter", "rows", "session")
LONGEST = 400  # bytes of one input
RUN = """
import sys
import atheris
with atheris.instrument_imports(include=["proxy"]):
    from tests.fuzz.targets import TARGETS
atheris.Setup(sys.argv, TARGETS[sys.argv[0]])
atheris.Fuzz()
"""


def kept(name: str) -> list[bytes]:
    """The corpus of a target."""
    return [b64decode(line) for line in (CORPUS / f"{name}.txt").read_text(encoding="ascii").splitlines()]


def fuzz(name: str, seconds: int, keep: bool) -> int:
    """One target for so long."""
    known, found = (WORK / f"{name}-{what}" for what in ("known", "found"))
    for folder in (known, found):
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.iterdir():
            old.unlink()
    for number, data in enumerate(kept(name)):
        (known / str(number)).write_bytes(data)
    options = [f"-max_total_time={seconds}", f"-max_len={LONGEST}", f"-artifact_prefix={WORK}/", "-print_final_stats=1"]
    program = f"import sys; sys.argv = {[name, *options, str(found), str(known)]!r}" + RUN
    status = subprocess.run([sys.executable, "-c", program], check=False).returncode  # libFuzzer ends its process
    if keep and status == 0:
        inputs = sorted(
            {*kept(name), *(path.read_bytes() for path in found.iterdir())}, key=lambda one: (len(one), one)
        )
        text = "".join(b64encode(data).decode() + "\n" for data in inputs)
        (CORPUS / f"{name}.txt").write_text(text, encoding="ascii")
    return status


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", default=NAMES)
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--keep", action="store_true", help="rewrite the corpus")
    arguments = parser.parse_args()
    unknown = set(arguments.targets) - set(NAMES)
    if unknown:
        parser.error(f"no target {min(unknown)}; there are {', '.join(NAMES)}")
    return max(fuzz(name, arguments.seconds, arguments.keep) for name in arguments.targets)


if __name__ == "__main__":
    sys.exit(main())
