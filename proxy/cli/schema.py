"""`partywall schema`: the JSON Schema of rule files, or of masking files, for editors."""

from __future__ import annotations

import json
from typing import Annotated, Literal

import typer

from proxy.tenancy.models import json_schema


def schema(
    of: Annotated[Literal["rules", "masking"], typer.Argument(help="Of which files.")] = "rules",
) -> None:
    """Print the JSON Schema of rule files, or of the masking files of `partywall clone`."""
    from proxy.backup.masking import json_schema as of_masking

    typer.echo(json.dumps(json_schema() if of == "rules" else of_masking(), indent=2, sort_keys=True))
