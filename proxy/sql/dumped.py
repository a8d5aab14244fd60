"""pg_dump's text of what is a tenant's own, for the tenant's role at another place: without what is the operator's, and
under another schema's name.

Promises: works on tokens, so that all but what it leaves out and the names stays to the byte. What is left out would
not fit, which is no matter of safety: whoever runs the text may be no more than the tenant. A name that could be
something else than the schema's is no guess but Unfit. Pure.
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


@dataclass(frozen=True, slots=True)
class Fitted:
    """What is to be run. rest: from the first foreign key to a table of another schema on. beyond: these tables."""

    text: str
    rest: str = ""
    beyond: tuple[tuple[str, str], ...] = ()


def fitted(text: str, there: Collection[str], source: str = "", target: str = "") -> Fitted:
    """The text for the tenant's role. there: schemas that exist. source: the only schema that the text is of, where
    there is but one; target: what it is called there. Raises Unfit.
    """
    try:
        tokens = tokens_of(text)
    except Refusal as error:
        raise Unfit(f"the definitions are no SQL: {error}") from None
    changes: list[tuple[int, int, str]] = []
    beyond: list[tuple[str, str]] = []
    begun, cut = 0, len(text)
    for number, one in enumerate(tokens):
        if one.kind != END:
            continue
        statement = tokens[begun:number]
        begun = number + 1
        if _left_out(statement, there):
            changes.append((statement[0].start, one.end, ""))
            continue
        if source and (found := _referenced(statement, source)):
            beyond.append(found)
            cut = min(cut, statement[0].start)
        if source != target:
            changes += _renamed(statement, source, target)
    return Fitted(
        _changed(text, 0, cut, changes), _changed(text, cut, len(text), changes), tuple(dict.fromkeys(beyond))
    )


def _changed(text: str, begin: int, end: int, changes: Sequence[tuple[int, int, str]]) -> str:
    parts = []
    for start, stop, new in changes:
        if begin <= start < end:
            parts += [text[begin:start], new]
            begin = stop
    return "".join([*parts, text[begin:end]])


def _left_out(statement: Sequence[Token], there: Collection[str]) -> bool:
    words = tuple(one.word for one in statement)
    if words[:1] == ("alter",) and words[-3:-1] == ("owner", "to"):
        return True
    if any(words[: len(one)] == one for one in OPERATORS):
        return True
    place = 2 if words[:2] == ("create", "schema") else 3 if words[:3] == ("comment", "on", "schema") else 0
    return 0 < place < len(statement) and _name(statement[place]) in there


def _referenced(statement: Sequence[Token], source: str) -> tuple[str, str] | None:
    """The table of another schema that a foreign key leads to."""
    words = [one.word for one in statement]
    if words[:2] != ["alter", "table"] or "references" not in words:
        return None
    at = words.index("references")
    schema, dot, table = statement[at + 1 : at + 4] if len(statement) > at + 3 else (None, None, None)
    if schema is None or table is None or dot is None or dot.kind != DOT or _name(schema) == source:
        return None
    return _name(schema), _name(table)


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
