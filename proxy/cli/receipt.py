"""`partywall receipt`: is a receipt of an erasure what was signed, by this key?

Exit status: 0: it is; 1: it is not.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from proxy.cli.report import reported


def receipt(
    file: Annotated[Path, typer.Argument(help="The receipt; its signature is beside it, with .sig behind.")],
    key: Annotated[Path, typer.Option(help="The public key in PEM, or the private one.")],
) -> None:
    """Check the signature of a receipt, and print the receipt."""
    from proxy.backup.signing import SIGNATURE, proven, public_key

    with reported():
        text = file.read_bytes()
        proven(text, Path(f"{file}{SIGNATURE}").read_bytes(), public_key(key))
    typer.echo(text.decode(), nl=False)
