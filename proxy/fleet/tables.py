"""Tables of tenants: read with the rule files, and watched for as long as the rule book that names them is in force."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

from proxy.catalog.tenants import TableStatistics, TenantRows, TenantWatch, tenants_of
from proxy.catalog.watch import FAILURES
from proxy.errors import ConfigurationError
from proxy.tenancy.load import Reading
from proxy.tenancy.policy import TenantTable
from proxy.tenancy.read import Spot
from proxy.tenancy.rulebook import RuleBook

AS_THEY_ARE: Mapping[Spot, str] = MappingProxyType({})
NOTHING: Mapping[TenantTable, TenantRows] = MappingProxyType({})


async def read_rules(
    directory: Path, environ: Mapping[str, str], generation: int, instead: Mapping[Spot, str] = AS_THEY_ARE
) -> RuleBook:
    """The rules of a folder and of the tables that it names. instead: texts of files and rows as they shall be.
    ConfigurationError with all problems of both; a table that does not answer is one.
    """
    reading = Reading(directory, environ, instead)
    await take_rows(reading)
    return reading.book(generation)


async def take_rows(reading: Reading, given: Mapping[TenantTable, TenantRows] = NOTHING) -> None:
    """Reads the tables that the files name, but for those whose rows are given; what is wrong with one stands in the
    problems then.
    """
    for table, rows in given.items():
        reading.take(table, rows.rows, rows.mark)
    tables = [(table, where) for table, where in reading.tables.items() if table not in given]
    answers = await asyncio.gather(
        *(tenants_of(table.server, table.credentials) for table, _ in tables), return_exceptions=True
    )
    for (table, where), answer in zip(tables, answers, strict=True):
        if not isinstance(answer, BaseException):
            reading.take(table, answer.rows, answer.mark)
        elif isinstance(answer, ConfigurationError):
            reading.problems.extend(f"{where}: {one}" for one in answer.problems)
        elif isinstance(answer, FAILURES):
            reading.problems.append(f"{where}: {table.name}: {str(answer) or type(answer).__name__}")
        else:
            raise answer


class Tables:
    """The watches of the rule book in force."""

    def __init__(self, changed: Callable[[], None], report: Callable[[str], None]) -> None:
        """changed: told that a table has other rows. report: told why one is away."""
        self._changed = changed
        self._report = report
        self._open: dict[TenantTable, TenantWatch] = {}

    async def follow(self, tables: Iterable[tuple[TenantTable, str]]) -> None:
        """Watches these, which were read so, and no others."""
        wanted = dict(tables)
        left = [self._open.pop(table) for table in list(self._open) if table not in wanted]
        for table, mark in wanted.items():
            watch = self._open.get(table)
            if watch is not None:
                watch.took(mark)
                continue
            watch = self._open[table] = TenantWatch(
                table.server, table.credentials, mark, self._changed, self._told(table)
            )
            watch.start()
        await asyncio.gather(*(one.close() for one in left))

    def _told(self, table: TenantTable) -> Callable[[str], None]:
        return lambda why: self._report(f"{table.name}: {why}")

    def statistics(self) -> TableStatistics:
        """A snapshot of all together."""
        each = [one.statistics() for one in self._open.values()]
        return TableStatistics(sum(one.looks for one in each), sum(one.failures for one in each))

    async def close(self) -> None:
        """Ends all of them."""
        await self.follow(())
