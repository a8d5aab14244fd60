"""The SQL of a restore in row mode: what differs between an archive's rows and the tenant's, and what makes them alike.

Every statement that changes rows has the tenant's own condition in it, whatever it was made from, so that no mistake
here reaches another tenant's row. Names are quoted, all functions are pg_catalog's. Pure.
"""

from __future__ import annotations

from proxy.backup.target import Table
from proxy.catalog.finding import identifier
from proxy.tenancy.policy import Grant


def staging(table: Table) -> str:
    """A temporary table with the archive's columns, and one for what is to go."""
    names = ", ".join(identifier(one.name) for one in table.columns)
    return (
        f"CREATE TEMPORARY TABLE stage_{table.number} AS SELECT {names} FROM {table.kept.only} WITH NO DATA;"
        f" CREATE TEMPORARY TABLE gone_{table.number} (t pg_catalog.oid, c pg_catalog.tid)"
    )


def bound(table: Table, referenced: frozenset[str]) -> tuple[str, ...]:
    """The columns that a row is tied by: of unique keys, exclusions and foreign keys, and identities, which cannot be
    updated. referenced: those that other tables reference. A row where one differs is deleted and inserted again.
    """
    relation = table.kept.relation
    numbers = {number for key in relation.keys for number in key.columns}
    if any(0 in key.columns for key in relation.keys):
        numbers |= {one.number for one in table.columns}  # an expression may be over any
    numbers |= {number for key in relation.foreign_keys for number in key.columns}
    return tuple(one.name for one in table.columns if one.number in numbers or one.identity or one.name in referenced)


def _numbered(table: Table, source: str, alias: str, place: str, where: str) -> str:
    """Rows with their text, and which of those with the same text each is."""
    whole = table.whole(alias)
    return (
        f"SELECT {place}{whole} AS w, pg_catalog.row_number() OVER (PARTITION BY {whole}) AS n"
        f" FROM {source} {alias} WHERE {where}"
    )


def _live(table: Table, grant: Grant) -> str:
    return _numbered(table, table.kept.only, "l", "l.tableoid AS t, l.ctid AS c, ", table.kept.owned(grant, "l"))


def surplus(table: Table, grant: Grant) -> str:
    """The tenant's rows that the archive does not have: t, c."""
    if not table.match:
        staged = _numbered(table, table.stage, "s", "", "true")
        return (
            f"SELECT l.t, l.c FROM ({_live(table, grant)}) l"
            f" WHERE NOT EXISTS (SELECT FROM ({staged}) s WHERE s.w = l.w AND s.n = l.n)"
        )
    return (
        f"SELECT l.tableoid AS t, l.ctid AS c FROM {table.kept.only} l WHERE {table.kept.owned(grant, 'l')}"
        f" AND NOT EXISTS (SELECT FROM {table.stage} s WHERE {table.matches('s', 'l')})"
    )


def missing(table: Table, grant: Grant) -> str:
    """The archive's rows that the tenant does not have, by the columns in their order."""
    names = ", ".join(f"s.{identifier(one.name)}" for one in table.columns)
    if not table.match:
        staged = _numbered(table, table.stage, "s", "s.*, ", "true")
        return (
            f"SELECT {names} FROM ({staged}) s"
            f" WHERE NOT EXISTS (SELECT FROM ({_live(table, grant)}) l WHERE s.w = l.w AND s.n = l.n)"
        )
    return (
        f"SELECT {names} FROM {table.stage} s WHERE NOT EXISTS (SELECT FROM {table.kept.only} l"
        f" WHERE {table.kept.owned(grant, 'l')} AND {table.matches('s', 'l')})"
    )


def compared(table: Table, grant: Grant) -> str | None:
    """How many rows come, are changed and go, in one pass; None where rows have no key to be found again by."""
    if not table.match:
        return None
    names = ", ".join(f"l.{identifier(one.name)}" for one in table.columns)
    live = f"SELECT l.ctid, {names} FROM {table.kept.only} l WHERE {table.kept.owned(grant, 'l')}"
    return (
        f"SELECT pg_catalog.count(*) FILTER (WHERE l.ctid IS NULL),"
        f" pg_catalog.count(*) FILTER (WHERE l.ctid IS NOT NULL AND s.ctid IS NOT NULL AND {table.differs('s', 'l')}),"
        f" pg_catalog.count(*) FILTER (WHERE s.ctid IS NULL)"
        f" FROM {table.stage} s FULL JOIN ({live}) l ON {table.matches('s', 'l')}"
    )


def changed(table: Table, grant: Grant, columns: tuple[str, ...] | None = None) -> str | None:
    """The tenant's rows that differ from the archive's in one of these columns (None: in any): t, c. None where rows
    have no key to be found again by.
    """
    if not table.match or columns == ():
        return None
    return (
        f"SELECT l.tableoid AS t, l.ctid AS c FROM {table.kept.only} l JOIN {table.stage} s"
        f" ON {table.matches('s', 'l')} WHERE {table.kept.owned(grant, 'l')}"
        f" AND {table.differs('s', 'l', columns)}"
    )


def update(table: Table, grant: Grant) -> str | None:
    """Makes rows that are found again equal to the archive's; None where nothing can differ."""
    keys = {one.name for one in table.match}
    free = [one for one in table.columns if one.name not in keys and one.identity != "a"]
    if not table.match or not free:
        return None
    given = ", ".join(f"{identifier(one.name)} = s.{identifier(one.name)}" for one in free)
    return (
        f"UPDATE {table.kept.only} l SET {given} FROM {table.stage} s WHERE {table.matches('s', 'l')}"
        f" AND {table.kept.owned(grant, 'l')} AND {table.differs('s', 'l')}"
    )


def insert(table: Table, grant: Grant, empty: frozenset[str] = frozenset()) -> str:
    """Inserts what is missing. empty: columns that are left NULL for now."""
    names = ", ".join(identifier(one.name) for one in table.columns)
    given = ", ".join("NULL" if one.name in empty else f"m.{identifier(one.name)}" for one in table.columns)
    return (
        f"INSERT INTO {table.kept.full} ({names}) OVERRIDING SYSTEM VALUE"
        f" SELECT {given} FROM ({missing(table, grant)}) m"
    )


def delete(table: Table, grant: Grant) -> str:
    """Deletes what is gone."""
    return (
        f"DELETE FROM {table.kept.only} l USING {table.gone} g"
        f" WHERE l.tableoid = g.t AND l.ctid = g.c AND {table.kept.owned(grant, 'l')}"
    )


def loosen(table: Table, grant: Grant, columns: frozenset[str]) -> str:
    """Sets these columns to NULL in what is gone, which stands elsewhere afterwards."""
    given = ", ".join(f"{identifier(one)} = NULL" for one in sorted(columns))
    return (
        f"WITH u AS (UPDATE {table.kept.only} l SET {given} FROM {table.gone} g WHERE l.tableoid = g.t AND l.ctid = g.c"
        f" AND {table.kept.owned(grant, 'l')} RETURNING l.tableoid AS t, l.ctid AS c),"
        f" d AS (DELETE FROM {table.gone}) INSERT INTO {table.gone} SELECT t, c FROM u"
    )
