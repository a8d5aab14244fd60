"""The shape of what rule files say about backups, of a database and of a tenant, and the rule that becomes of both.

A tenant's keys stand instead of its database's, each by itself. Schedules are cron expressions of five fields, in UTC.
A recipient is looked at here, so that a typing error is a mistake in the rules, and not a backup that fails at night.
"""

from __future__ import annotations

import string
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import pyrage
from cronsim import CronSim, CronSimError
from pydantic import AfterValidator, Field

from proxy.tenancy.policy import BackupRule, Keep
from proxy.tenancy.values import Strict

if TYPE_CHECKING:
    from proxy.tenancy.models import Database, Tenant
    from proxy.tenancy.policy import Grant
    from proxy.tenancy.read import Source

PLACES = frozenset({"tenant", "database", "year", "month", "day"})
FILE = "file://"
Amount = Annotated[int, Field(ge=0)]


def _schedule(text: str) -> str:
    if len(text.split()) != 5:
        raise ValueError("must have five fields: minute, hour, day of the month, month, day of the week")
    try:
        next(CronSim(text, datetime(2026, 1, 1, tzinfo=UTC)))
    except CronSimError as error:
        raise ValueError(str(error)) from None
    except StopIteration:
        raise ValueError("there is no such day") from None
    return " ".join(text.split())


def _folder(text: str) -> str:
    folder = text.removeprefix(FILE).rstrip("/")
    try:
        parts = list(string.Formatter().parse(folder))
    except ValueError:
        raise ValueError("a brace is neither a place nor doubled") from None
    for _, name, form, conversion in parts:
        if name is not None and (name not in PLACES or form or conversion):
            raise ValueError(f"places are {', '.join(sorted(PLACES))}, each in braces")
    if "://" not in folder and not folder.startswith("/"):
        raise ValueError("must be a URL, or a folder's path from the root")
    if folder.startswith(("/{year}", "/{month}", "/{day}")):
        raise ValueError("must name a folder in front of the time, or the whole disk would be searched")
    if "://" in folder and ":" in urlsplit(folder).netloc.rpartition("@")[0]:
        raise ValueError("a password does not belong into a URL; give it to the process as its library wants it")
    return folder


def _recipient(text: str) -> str:
    found = text.strip()
    for kind in (pyrage.x25519.Recipient, pyrage.ssh.Recipient):
        try:
            kind.from_str(found)
        except pyrage.RecipientError:
            continue
        return found
    raise ValueError("is no age recipient; it is age1… or an SSH public key")


class KeepModel(Strict):
    """A `keep:` key: the newest of so many days, weeks and months that have any, and always the `least` newest."""

    daily: Amount = 0
    weekly: Amount = 0
    monthly: Amount = 0
    least: Annotated[int, Field(ge=1)] = 3


class Backups(Strict):
    """A `backups:` key."""

    schedule: Annotated[str, AfterValidator(_schedule)] | None = None
    to: Annotated[str, AfterValidator(_folder)] | None = None
    recipients: list[Annotated[str, AfterValidator(_recipient)]] | None = None
    keep: KeepModel | None = None


def rule_of(*those: Backups | None) -> BackupRule | None:
    """What holds where the last that says a key counts; None where nobody says any. ValueError when it is not whole."""
    given = {
        name: value
        for one in those
        if one is not None
        for name in Backups.model_fields
        if (value := getattr(one, name)) is not None
    }
    if all(one is None for one in those):
        return None
    missing = [name for name in ("schedule", "to") if name not in given]
    if missing:
        raise ValueError(f"must say {' and '.join(missing)}")
    keep = given.get("keep")
    return BackupRule(
        given["schedule"],
        given["to"],
        tuple(given.get("recipients", ())),
        None if keep is None else Keep(keep.daily, keep.weekly, keep.monthly, keep.least),
    )


def backup_rules(
    grants: Iterable[Grant],
    databases: Mapping[str, tuple[Source, Database]],
    tenants: Mapping[str, tuple[Source, Tenant]],
    problems: list[str],
) -> dict[tuple[str, str], BackupRule]:
    """The rule of each tenant on each of its databases; those who say nothing of it share one object."""
    usual = {name: rule_of(model.backups) for name, (_, model) in databases.items() if not problems}
    found = {}
    for tenant, database in dict.fromkeys((one.tenant, one.database) for one in grants):
        source, model = tenants[tenant]
        rule = None if model.backups is False or model.canary else usual.get(database)
        if model.backups:
            try:
                rule = rule_of(databases[database][1].backups, model.backups)
            except ValueError as error:
                problems.append(f"{source.at('backups')}: backups: {error}")
        if rule is not None:
            found[tenant, database] = rule
    return found
