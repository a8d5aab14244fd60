"""The SQL of a move: triggers that log which of the tenant's rows are written, or refuse it, and what reads the log.

Only rows of the tenant reach a trigger's function; of others the server looks at the condition and no further. What is
logged is the row's key, in text, as no setting of the writing session can bend it; of a table without a key it is all
that is in the row. The functions run as who made them, because no tenant may reach the log. Names are quoted, all
functions are pg_catalog's. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator

from proxy.backup.passages import Passage
from proxy.backup.selection import Kept, text
from proxy.catalog.finding import identifier
from proxy.tenancy.policy import Grant

PINNED = {
    "search_path": "pg_catalog, pg_temp",
    "DateStyle": "'ISO, YMD'",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "lc_monetary": "'C'",
}
EVENTS = {"INSERT": "{new}", "UPDATE": "{old} OR {new}", "DELETE": "{old}"}


ARRIVING = "arriving_"  # in the names of what is made where the tenant goes, which may be the same database


def trigger_of(move: str, event: str, end: str = "") -> str:
    """The name of a trigger, on whichever table. end: "" or ARRIVING."""
    return f"partywall_move_{end}{move}_{event.lower()}"


def names(move: str, end: str = "") -> list[str]:
    """Of all triggers of a table."""
    return [trigger_of(move, event, end) for event in (*EVENTS, "TRUNCATE")]


def function(move: str, one: Passage, tenant: str) -> str:
    """What the table's triggers call. What is left behind may be deleted by a session that replicates, which is the
    move's own: nobody else may set that. A snapshot that is older than the move fails as such."""
    pinned = " ".join(f"SET {name} = {value}" for name, value in PINNED.items())
    log = "INSERT INTO partywall.changes (move, place, key) VALUES ({move}, {place}, {key});"
    old, new = (log.format(move=text(move), place=one.place, key=_key(one, alias)) for alias in ("OLD", "NEW"))
    other = f"{_key(one, 'OLD')} IS DISTINCT FROM {_key(one, 'NEW')}"
    body = f"""
DECLARE phase pg_catalog.text;
BEGIN
  SELECT m.phase INTO phase FROM partywall.moves m WHERE m.id = {text(move)} FOR SHARE;
  IF NOT FOUND THEN
    RAISE EXCEPTION USING ERRCODE = '40001', MESSAGE = {text(f"tenant {tenant} began to move meanwhile")};
  END IF;
  IF phase = 'aborting' OR (phase = 'moved' AND TG_OP = 'DELETE'
      AND pg_catalog.current_setting('session_replication_role') = 'replica') THEN
    RETURN NULL;
  END IF;
  IF phase IS DISTINCT FROM 'copying' OR TG_OP = 'TRUNCATE' THEN
    RAISE EXCEPTION USING ERRCODE = '25006', MESSAGE = {text(f"tenant {tenant} is being moved to another place")};
  END IF;
  IF TG_OP <> 'INSERT' THEN {old} END IF;
  IF TG_OP = 'INSERT' OR (TG_OP = 'UPDATE' AND {other}) THEN {new} END IF;
  RETURN NULL;
END"""
    name = _name(move, one.source)
    return (
        f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER {pinned}"
        f" AS {text(body)}; REVOKE ALL ON FUNCTION {name}() FROM PUBLIC"
    )


def guard(move: str, one: Passage, tenant: str) -> str:
    """What the triggers call at the target: nothing but the move itself writes the tenant's rows before it is open."""
    body = f"""
DECLARE phase pg_catalog.text;
BEGIN
  SELECT m.phase INTO phase FROM partywall.arrivals m WHERE m.id = {text(move)} FOR SHARE;
  IF phase IS DISTINCT FROM 'open' THEN
    RAISE EXCEPTION USING ERRCODE = '25006', MESSAGE = {text(f"tenant {tenant} has not arrived yet")};
  END IF;
  RETURN NULL;
END"""
    name = _name(move, one.target, ARRIVING)
    return (
        f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER"
        f" SET search_path = pg_catalog, pg_temp AS {text(body)}; REVOKE ALL ON FUNCTION {name}() FROM PUBLIC"
    )


def guarding(move: str, one: Passage, grant: Grant) -> list[str]:
    """Makes the triggers at the target. They do not fire for what the move itself writes, which replicates."""
    return list(_made(move, one.target, grant, ARRIVING))


def triggers(move: str, one: Passage, grant: Grant) -> list[str]:
    """Makes the table's triggers at the source, which fire whatever the session's role in replication."""
    made = list(_made(move, one.source, grant, ""))
    always = ", ".join(f"ENABLE ALWAYS TRIGGER {identifier(name)}" for name in names(move))
    return [*made, f"ALTER TABLE {one.source.full} {always}"]


def _made(move: str, kept: Kept, grant: Grant, end: str) -> Iterator[str]:
    for event, when in EVENTS.items():
        condition = when.format(old=kept.owned(grant, "OLD"), new=kept.owned(grant, "NEW"))
        yield (
            f"CREATE OR REPLACE TRIGGER {identifier(trigger_of(move, event, end))} AFTER {event} ON {kept.full}"
            f" FOR EACH ROW WHEN ({condition}) EXECUTE FUNCTION {_name(move, kept, end)}()"
        )
    yield (
        f"CREATE OR REPLACE TRIGGER {identifier(trigger_of(move, 'TRUNCATE', end))} BEFORE TRUNCATE ON {kept.full}"
        f" FOR EACH STATEMENT EXECUTE FUNCTION {_name(move, kept, end)}()"
    )


def undone(move: str, end: str = "") -> str:
    """The query of the statements that take triggers and functions of a move away again, at one end: those of one table
    together, the functions after all of them."""
    return f"""
SELECT pg_catalog.array_agg(pg_catalog.format('DROP TRIGGER %I ON %I.%I', t.tgname, n.nspname, c.relname)
         ORDER BY t.tgname) AS statements, 0 AS turn
  FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
 WHERE {_called(move, end)} AND t.tgparentid = 0
 GROUP BY c.oid
 UNION ALL
SELECT ARRAY[pg_catalog.format('DROP FUNCTION partywall.%I()', p.proname)], 1
  FROM pg_catalog.pg_proc p
 WHERE {_called(move, end)}
 ORDER BY turn, statements
"""


def tables(move: str, end: str = "") -> str:
    """The query of the numbers (oid) of the tables that have a function of the move, at one end."""
    number = "pg_catalog.substring(p.proname::pg_catalog.text, '_([0-9]+)$')::pg_catalog.oid"
    return f"SELECT {number} AS oid FROM pg_catalog.pg_proc p WHERE {_called(move, end)}"


def _called(move: str, end: str) -> str:
    """Is p one of the move's functions at this end? Its triggers are known by them: their names are the tables' owners'
    to change."""
    functions = f"move_{end}{move}_%".replace("_", "\\_")
    place = "pg_catalog.to_regnamespace('partywall')"
    return f"p.pronamespace = {place} AND p.proname LIKE {text(functions)}"


def logged(move: str, one: Passage) -> str:
    """The query of the keys that were written: k1, k2 …, in text."""
    names = ", ".join(f"c.key[{number}] AS k{number}" for number in range(1, one.width + 1))
    return f"SELECT DISTINCT {names} FROM partywall.changes c WHERE c.move = {text(move)} AND c.place = {one.place}"


def rows(one: Passage, grant: Grant, keys: str | None = None) -> str:
    """The query of the tenant's rows at the source; keys: of those with these keys only, a query or table of k1 …."""
    names = ", ".join(f"l.{identifier(column)}" for column in one.columns)
    return f"SELECT {names} {_from(one, one.source, grant, keys)}"


def digest(one: Passage, kept: Kept, grant: Grant, keys: str | None = None) -> str:
    """The query of how many rows there are, and a sum over all that is in them."""
    hashed = f'pg_catalog.hashtextextended({one.whole("l")} COLLATE "C", 0)::pg_catalog.numeric'
    return f"SELECT pg_catalog.count(*) AS rows, pg_catalog.sum({hashed}) AS sum {_from(one, kept, grant, keys)}"


def staging(one: Passage) -> str:
    """Makes the temporary table of keys at the target, which the end of the transaction takes away."""
    names = ", ".join(f"k{number} pg_catalog.text" for number in range(1, one.width + 1))
    return f"CREATE TEMPORARY TABLE touched_{one.place} ({names}) ON COMMIT DROP"


def delete(one: Passage, grant: Grant, keys: str) -> str:
    """Takes the tenant's rows with these keys away at the target."""
    return f"DELETE FROM {one.target.only} l USING {keys} k WHERE {_meeting(one)} AND {one.target.owned(grant, 'l')}"


def at_target(one: Passage, grant: Grant, keys: str | None = None) -> str:
    """FROM and WHERE of the tenant's rows at the target, called l."""
    return _from(one, one.target, grant, keys)


def _from(one: Passage, kept: Kept, grant: Grant, keys: str | None) -> str:
    joined = "" if keys is None else f" JOIN {keys} k ON {_meeting(one)}"
    return f"FROM {kept.only} l{joined} WHERE {kept.owned(grant, 'l')}"


def _meeting(one: Passage) -> str:
    if not one.key:
        return f"{one.whole('l')} = k.k1"
    pairs = enumerate(one.key, 1)
    return " AND ".join(f"l.{identifier(name)} = k.k{number}::{kind}" for number, (name, kind) in pairs)


def _key(one: Passage, alias: str) -> str:
    parts = [f"{alias}.{identifier(name)}::pg_catalog.text" for name, _ in one.key] or [one.whole(alias)]
    return f"ARRAY[{', '.join(parts)}]"


def called(move: str, kept: Kept, end: str = "") -> str:
    """The function of a table's triggers, in SQL."""
    return f"{_name(move, kept, end)}()"


def _name(move: str, kept: Kept, end: str = "") -> str:
    return f"partywall.move_{end}{move}_{kept.relation.oid}"
