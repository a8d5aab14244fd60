"""`partywall erase`: a tenant's data is gone from the live tables, and a signed receipt says so.

Exit status: 0: done; 1: not done, with the reasons; where something was done and is not complete, the first line says
so; 2: wrong usage; 143: SIGTERM ended it.
"""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from proxy import __version__
from proxy.cli.ending import awaited
from proxy.cli.operator import At, Config, Hold, Rules, ServerUri, Timeout, Triggers, grant_of, place_for, told
from proxy.cli.report import reported
from proxy.cli.showing import shown
from proxy.errors import ConfigurationError
from proxy.settings import load_settings

if TYPE_CHECKING:
    from proxy.backup.erasing import Erased
    from proxy.settings import Settings
    from proxy.tenancy.policy import Grant
    from proxy.tenancy.servers import Place


def erase(
    tenant: Annotated[str, typer.Option(help="Whose data.")],
    database: Annotated[str, typer.Option(help="The database, as applications name it.")],
    receipt: Annotated[
        Path | None, typer.Option(help="A new file for the receipt; its signature is beside it, with .sig behind.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Change nothing; tell what would go, and what would still hold it.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for the tenant's name.")] = False,
    unsigned: Annotated[bool, typer.Option("--unsigned", help="A receipt without a signature will do.")] = False,
    keep_registration: Annotated[
        bool, typer.Option("--keep-registration", help="Leave its row in a table of one row for each tenant.")
    ] = False,
    archive: Annotated[
        list[str] | None, typer.Option(help="A place with archives of the tenant, for the receipt; may be repeated.")
    ] = None,
    triggers: Triggers = "fire",
    pause: Annotated[
        bool, typer.Option("--pause/--no-pause", help="Hold the tenant's sessions while its rows go.")
    ] = True,
    timeout: Timeout = 30,
    hold: Hold = 600,
    at: At = None,
    rules: Rules = Path("rules"),
    server: ServerUri = None,
    config: Config = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs: what the receipt says.")] = False,
) -> None:
    """Delete a tenant's data from the live tables for good, and tell what still holds it."""
    from proxy.backup import erasing
    from proxy.cli.quiet import paused

    with reported():
        settings = load_settings(config, {})
        signing = None if dry_run else _key(settings, receipt, unsigned)
        grant = asyncio.run(grant_of(rules, tenant, database))
        place = place_for(grant, server, settings)
        archives = [*(archive or []), *asyncio.run(_scheduled(rules, tenant, database))]
        if not (dry_run or yes or _confirmed(tenant, database)):
            raise ConfigurationError(["that is not the tenant's name; nothing was erased"])
        quiet = nullcontext if not pause else lambda: paused(tenant, database, timeout, hold, settings, at or ())
        with told(f"erase of {tenant}"), shown() as tell:
            run = erasing.erase(place, grant, dry_run, keep_registration, triggers == "fire", quiet, tell)
            done = awaited(run)
        body = _body(grant, done, _address(place, done), archives, settings, signing)
        if not dry_run:
            _write(receipt, body, signing)
    if as_json:
        typer.echo(json.dumps(body, indent=2, sort_keys=True))
    else:
        typer.echo("\n".join(_described(body, dry_run)))


async def _scheduled(rules: Path, tenant: str, database: str) -> list[str]:
    """Where the rules have the tenant's backups kept."""
    from proxy.backup.labels import root_of
    from proxy.fleet.tables import read_rules

    rule = (await read_rules(rules, os.environ, 1)).backups.get((tenant, database))
    return [] if rule is None else [root_of(rule.to, tenant, database)[0]]


def _address(place: Place, done: Erased) -> str:
    """Of the server that did it, as it says itself: the place may have several. At a socket the place's."""
    if done.host is None:
        return f"{place[0].host}:{place[0].port}"
    return f"[{done.host}]:{done.port}" if ":" in done.host else f"{done.host}:{done.port}"


def _confirmed(tenant: str, database: str) -> bool:
    try:
        return bool(typer.prompt(f"Its data in {database} will be gone. The tenant's name") == tenant)
    except typer.Abort:  # there is nobody to ask
        raise ConfigurationError(["nobody typed the tenant's name, and no --yes; nothing was erased"]) from None


def _key(settings: Settings, receipt: Path | None, unsigned: bool) -> Any:
    """The key of the settings; Refused, before anything is erased, where there is none or the receipt has no place."""
    from proxy.backup.signing import HINT, SIGNATURE, private_key

    if receipt is None:
        raise ConfigurationError(["name a file for the --receipt"])
    for path in (receipt, Path(f"{receipt}{SIGNATURE}")):
        if path.exists():
            raise ConfigurationError([f"{path} exists already"])
    if not receipt.absolute().parent.is_dir():
        raise ConfigurationError([f"{receipt.absolute().parent} is no folder"])
    if settings.receipt_key is None:
        if unsigned:
            return None
        raise ConfigurationError([f"there is no key to sign the receipt with, and no --unsigned; {HINT}"])
    return private_key(settings.receipt_key)


def _body(
    grant: Grant, done: Erased, address: str, archives: list[str], settings: Settings, key: Any
) -> dict[str, Any]:
    from proxy.accounting.journal import NAME
    from proxy.backup.signing import FORMAT, fingerprint

    remains = [asdict(one) for one in done.remains]
    remains += [{"what": "archives", "where": archives, "until": "they are deleted"}] if archives else []
    journal = f"{settings.state_directory / NAME}, usage by tenant and login"
    until = f"{settings.usage_retention} seconds; the log is kept as its files are"
    remains.append({"what": "the proxies' own", "where": [journal, "audit lines in the log"], "until": until})
    remains.append({"what": "rules", "where": [grant.tenant], "until": "partywall tenant disable, or removal by hand"})
    return {
        "format": FORMAT,
        "program": f"partywall {__version__}",
        "tenant": grant.tenant,
        "database": grant.database,
        "isolation": grant.policy.isolation,
        "schema": grant.policy.schema or None,
        "keys": {name: value for name, value in grant.keys.items() if not name.startswith("$")},
        "rules": grant.policy.policy_class,
        "server": {
            "address": address,
            "database": done.database,
            "system_identifier": done.system,
            "version": done.version,
        },
        "role": done.role,
        "transaction": done.transaction,
        "time": done.time,
        "lsn": done.lsn,
        "tables": dict(done.tables),
        "registration_kept": list(done.registered),
        "second_look": {"rows": 0, "time": done.seen},
        "remains": remains,
        "key": None if key is None else fingerprint(key.public_key()),
    }


def _write(receipt: Path | None, body: dict[str, Any], key: Any) -> None:
    from proxy.backup.places import written as opened
    from proxy.backup.signing import SIGNATURE, written

    text = written(body)
    try:
        assert receipt is not None
        if key is not None:
            with opened(f"{receipt}{SIGNATURE}") as file:
                file.write(key.sign(text))
        with opened(str(receipt)) as file:
            file.write(text)
    except (OSError, ConfigurationError):
        typer.echo("The data was erased, and its receipt could not be written. Unsigned it is:", err=True)
        typer.echo(text.decode(), err=True)
        raise


def _described(body: dict[str, Any], dry_run: bool) -> list[str]:
    rows = sum(body["tables"].values())
    verb = "would be erased" if dry_run else f"erased at {body['time']}, up to {body['lsn']}"
    lines = [f"{name}: {count} rows" for name, count in body["tables"].items() if count]
    lines.append(f"{body['tenant']} in {body['database']}: {rows} rows of {len(body['tables'])} tables {verb}")
    lines += [f"registration kept: {name}" for name in body["registration_kept"]]
    lines.append("what still holds it:")
    lines += [f"  {one['what']}: {', '.join(one['where'])}; until: {one['until']}" for one in body["remains"]]
    return [*lines, *(["a dry run: nothing was changed"] if dry_run else [])]
