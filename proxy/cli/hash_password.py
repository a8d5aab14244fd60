"""`partywall hash-password`: a SCRAM-SHA-256 verifier for a rule file, in the form of pg_authid."""

from __future__ import annotations

import getpass
import secrets
import sys

import typer

from proxy.auth.scram import build_verifier

SALT_BYTES = 16


def hash_password() -> None:
    """Print the verifier of a password: asked for twice, or read from standard input."""
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
    typer.echo(build_verifier(password, secrets.token_bytes(SALT_BYTES)))
