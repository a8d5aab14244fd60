"""`partywall schema`: the JSON Schema of rule files, for editors."""

from __future__ import annotations

import json

import typer

from proxy.tenancy.models import json_schema


def schema() -> None:
    """Print the JSON Schema of rule files."""
    typer.echo(json.dumps(json_schema(), indent=2, sort_keys=True))
