"""`partywall hash-password`: a SCRAM-SHA-256 verifier for a rule file, in the form of pg_authid."""

from __future__ import annotations

import getpass
import secrets
import sys
from typing import Annotated

import typer

from proxy.auth.scram import ITERATIONS, build_verifier, parse_verifier

SALT_BYTES = 16


def hash_password(
    like: Annotated[
        str | None,
        typer.Option(help="The login's present verifier: the new one gets its salt, so that both passwords pass."),
    ] = None,
) -> None:
    """Print the verifier of a password: asked for twice, or read from standard input."""
    salt, iterations = secrets.token_bytes(SALT_BYTES), ITERATIONS
    if like is not None:
        try:
            present = parse_verifier(like)
        except ValueError:
            typer.echo("--like is not a SCRAM-SHA-256 verifier", err=True)
            raise typer.Exit(1) from None
        salt, iterations = present.salt, present.iterations
    if sys.stdin.isatty():
        password = getpass.getpass("Password: ")
        if password != getpass.getpass("Again: "):
            typer.echo("the passwords differ", err=True)
            raise typer.Exit(1)
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    if not password:
        typer.echo("an empty password is refused", err=True)
        raise typer.Exit(1)
    typer.echo(build_verifier(password, salt, iterations))
