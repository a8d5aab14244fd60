"""The command line: one file per command, each a function that Typer calls.

Commands read settings, call the parts below and print; they hold no logic of their own. Exit status: 0 done, 1
refused with
the reasons on standard error, 2 wrong usage.
"""

from __future__ import annotations

import typer

from proxy.cli.backup import backup
from proxy.cli.backups import backups
from proxy.cli.check import check
from proxy.cli.clone import clone
from proxy.cli.demo import demo
from proxy.cli.doctor import doctor
from proxy.cli.drain import drain
from proxy.cli.erase import erase
from proxy.cli.explain import explain
from proxy.cli.export import export
from proxy.cli.hash_password import hash_password
from proxy.cli.kill import kill
from proxy.cli.move import move
from proxy.cli.pause import pause
from proxy.cli.provision import provision
from proxy.cli.receipt import receipt
from proxy.cli.reload import reload
from proxy.cli.restore import restore
from proxy.cli.resume import resume
from proxy.cli.schema import schema
from proxy.cli.serve import serve
from proxy.cli.status import status
from proxy.cli.tenant import tenant
from proxy.cli.usage import usage
from proxy.cli.verify import verify

application = typer.Typer(
    name="partywall",
    help="Tenants in one PostgreSQL database, one ordinary DSN each, and none can see another.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (
    demo, serve, check, explain, doctor, provision, backup, verify, restore, clone, export, erase, receipt, move,
    schema, usage, status, reload, pause, resume, kill, drain,
):  # fmt: skip
    application.command()(command)
application.command("hash-password")(hash_password)
application.add_typer(tenant, name="tenant")
application.add_typer(backups, name="backups")


def main() -> None:
    """Runs the command line."""
    application(prog_name="partywall")
