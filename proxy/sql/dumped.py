"""pg_dump's text of what is a tenant's own, for the tenant's role at another place: without what is the operator's, and
under another schema's name.

Promises: works on tokens, so that all but what it leaves out and the names stays to the byte. What is left out would
not fit, which is no matter of safety: whoever runs the text may be no more than the tenant. A name that could be
something else than the schema's is no guess but Unfit. Foreign keys to shared tables are no tenant's to make; they are
told in words that are made here, so that no text can have an operator run something else. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from proxy.errors import Refusal
from proxy.sql.parse import Token, tokens_of

# How statements begin that only an operator may make, or that say whose something is.
OPERATORS = (
    ("grant",),
    ("revoke",),
    ("alter", "default", "privileges"),
    ("security", "label"),
    ("comment", "on", "database"),
    ("comment", "on", "extension"),
    *(
        (*verb, *kind)
        for verb in (("create",), ("alter",), ("comment", "on"))
        for kind in (("event", "trigger"), ("publication",), ("subscription",))
    ),
)
DOT, END, CAST = "ASCII_46", "ASCII_59", "TYPECAST"


class Unfit(ValueError):
    """The text cannot be made to fit, with the reason."""


# What may follow the columns of a foreign key.
KEY_WORDS = {"match", "full", "on", "delete", "update", "cascade", "restrict", "set", "null", "default", "no", "action"}
KEY_WORDS |= {"not", "deferrable", "initially", "deferred", "immediate", "valid"}


@dataclass(frozen=True, slots=True)
class Key:
    """A foreign key to a shared table, by its table, its name and columns there, and the statement that makes it."""

    table: str
    name: str
    columns: tuple[str, ...]
    statement: str


@dataclass(frozen=True, slots=True)
class Fitted:
    """What is to be run. away: foreign keys to shared tables, which are not in it."""

    text: str
    away: tuple[Key, ...] = ()


def fitted(
    text: str, there: Collection[str], source: str = "", target: str = "", shared: Collection[str] = ()
) -> Fitted:
    """The text for the tenant's role. there: schemas that exist. source: the only schema that the text is of, where
    there is but one; target: what it is called there; shared: the schemas that all tenants read. Raises Unfit.
    """
    try:
        tokens = tokens_of(text)
    except Refusal as error:
        raise Unfit(f"the definitions are no SQL: {error}") from None
    changes: list[tuple[int, int, str]] = []
    away: dict[tuple[str, str], Key] = {}
    begun = 0
    for number, one in enumerate(tokens):
        if one.kind != END:
            continue
        statement = tokens[begun:number]
        begun = number + 1
        key = _key(statement, source, target, shared) if source else None
        away |= {} if key is None else {(key.table, key.name): key}
        if key is not None or _left_out(statement, there) or _remark(statement, source) in away:
            changes.append((statement[0].start, one.end, ""))
        elif source != target:
            changes += _renamed(statement, source, target)
    return Fitted(_changed(text, changes), tuple(away.values()))


def _changed(text: str, changes: Sequence[tuple[int, int, str]]) -> str:
    parts, begin = [], 0
    for start, stop, new in changes:
        parts += [text[begin:start], new]
        begin = stop
    return "".join([*parts, text[begin:]])


def _left_out(statement: Sequence[Token], there: Collection[str]) -> bool:
    words = tuple(one.word for one in statement)
    if words[:1] == ("alter",) and words[-3:-1] == ("owner", "to"):
        return True
    if any(words[: len(one)] == one for one in OPERATORS):
        return True
    place = 2 if words[:2] == ("create", "schema") else 3 if words[:3] == ("comment", "on", "schema") else 0
    return 0 < place < len(statement) and _name(statement[place]) in there


def _key(statement: Sequence[Token], source: str, target: str, shared: Collection[str]) -> Key | None:
    """A foreign key to a shared table. None: it is something else, or not as pg_dump writes one; then it stays, and the
    server refuses it to the tenant's role.
    """
    rest = list(statement)
    only = [one.word for one in rest[2:3]] == ["only"]
    del rest[2 : 3 if only else 2]
    words = [one.word for one in rest]
    if words[:2] != ["alter", "table"] or words[5:7] != ["add", "constraint"] or words[8:10] != ["foreign", "key"]:
        return None
    columns, at = _columns(rest, 10)
    if not columns or words[at : at + 1] != ["references"] or len(rest) < at + 4:
        return None
    keys, end = _columns(rest, at + 4)
    if not keys or not KEY_WORDS.issuperset(words[end:]) or not rest[3].kind == rest[at + 2].kind == DOT:
        return None
    schema, table, name, beyond, other = (_name(rest[one]) for one in (2, 4, 7, at + 1, at + 3))
    if schema != source or beyond not in shared or not all((table, name, other)):
        return None
    how = words[end:-2] if words[-2:] == ["not", "valid"] else words[end:]
    made = (
        f"ALTER TABLE ONLY {_quoted(target)}.{_quoted(table)} ADD CONSTRAINT {_quoted(name)} FOREIGN KEY"
        f" ({', '.join(map(_quoted, columns))}) REFERENCES {_quoted(beyond)}.{_quoted(other)}"
        f" ({', '.join(map(_quoted, keys))})"
    )
    return Key(table, name, tuple(columns), " ".join([made, *(one.upper() for one in how), "NOT VALID;"]))


def _columns(statement: Sequence[Token], begin: int) -> tuple[list[str], int]:
    """The names in parentheses that begin there, and where they have ended; [] where there are none."""
    found: list[str] = []
    for at in range(begin, len(statement) - 1, 2):
        name, after = _name(statement[at + 1]), statement[at + 2].text if len(statement) > at + 2 else ""
        if statement[at].text != ("," if found else "(") or not name or after not in {",", ")"}:
            break
        found.append(name)
        if after == ")":
            return found, at + 3
    return [], begin


def _remark(statement: Sequence[Token], source: str) -> tuple[str, str] | None:
    """The table and the name of the constraint that a comment is on."""
    if [one.word for one in statement[:3]] != ["comment", "on", "constraint"] or len(statement) < 8:
        return None
    name, schema, table = (_name(statement[one]) for one in (3, 5, 7))
    return (table, name) if schema == source and statement[6].kind == DOT else None


def _renamed(statement: Sequence[Token], source: str, target: str) -> Iterator[tuple[int, int, str]]:
    """pg_dump qualifies every name, so a schema stands before a dot, and in literals of types that name objects."""
    spelled = {_quoted(source), source}  # as an identifier that needs no quotes: lower case, as key words are not
    for number, one in enumerate(statement):
        after = [token.kind for token in statement[number + 1 : number + 2]]
        if one.kind == "SCONST" and after == [CAST] and statement[number + 2].word.startswith("reg"):
            for name in spelled:
                begin = "'" + name.replace("'", "''") + "."
                if one.text.startswith(begin):
                    yield one.start, one.start + len(begin), "'" + _quoted(target).replace("'", "''") + "."
        elif one.text in spelled and (one.kind == "IDENT" or one.word):
            if after != [DOT] or (number and statement[number - 1].kind == DOT):
                raise Unfit(f"the schema's name, {source}, is that of something else in it, too")
            yield one.start, one.end, _quoted(target)


def _name(token: Token) -> str:
    return token.text[1:-1].replace('""', '"') if token.text.startswith('"') else token.word


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
