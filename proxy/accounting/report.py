"""Report: what the journals of one host or of many say, by hour, day or month. Reads only, also while they are written.

Rows of several files are one row when hour, tenant, login and process are the same (a copy of a journal beside the
journal): the later of the two counts. So a file that is given twice adds nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from proxy.accounting.forms import Record
from proxy.accounting.journal import BUSY
from proxy.quota.usage import Usage

By = Literal["hour", "day", "month"]
PERIODS: dict[By, str] = {"hour": "%Y-%m-%dT%H:00:00Z", "day": "%Y-%m-%d", "month": "%Y-%m"}
HEADER = ("period", "tenant", "login", *Usage._fields)
TABLE = f"""
CREATE TABLE merged (
    hour INTEGER, tenant TEXT, login TEXT, process INTEGER, {", ".join(Usage._fields)},
    PRIMARY KEY (hour, tenant, login, process)
) WITHOUT ROWID
"""
MERGE = f"""
INSERT INTO merged SELECT * FROM one.usage
WHERE hour >= :since AND hour < :until AND (:tenant IS NULL OR tenant = :tenant)
ON CONFLICT DO UPDATE SET {", ".join(f"{one} = max({one}, excluded.{one})" for one in Usage._fields)}
"""  # noqa: S608  made of constants
SUM = f"""
SELECT strftime(:period, hour * 3600, 'unixepoch'), tenant, login, {", ".join(f"sum({one})" for one in Usage._fields)}
FROM merged GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""  # noqa: S608  made of constants


@dataclass(frozen=True, slots=True)
class Span:
    """Hours from `since` on, before `until`; of one tenant or all."""

    since: int = 0
    until: int = 1 << 40
    tenant: str | None = None


class Line(NamedTuple):
    """One period of one login."""

    period: str
    tenant: str
    login: str
    usage: Usage


def read(journals: Iterable[Path], span: Span, by: By) -> list[Line]:
    """What they say together. FileNotFoundError, sqlite3.Error."""
    # The first is a file that SQLite takes away itself.
    with closing(sqlite3.connect("", isolation_level=None, uri=True, timeout=BUSY)) as connection:
        connection.execute(TABLE)
        for path in journals:
            if not path.is_file():
                raise FileNotFoundError(f"{path}: no such journal")
            connection.execute("ATTACH ? AS one", (f"{path.absolute().as_uri()}?mode=ro",))
            if connection.execute("SELECT 1 FROM one.sqlite_master").fetchone() is not None:  # else it is just begun
                connection.execute(MERGE, {"since": span.since, "until": span.until, "tenant": span.tenant})
            connection.execute("DETACH one")
        return [
            Line(period, tenant, login, Usage._make(figures))
            for period, tenant, login, *figures in connection.execute(SUM, {"period": PERIODS[by]})
        ]


def records(lines: Sequence[Line]) -> list[Record]:
    """The same for forms.rendered, under HEADER."""
    return [(line.period, line.tenant, line.login, *line.usage) for line in lines]
