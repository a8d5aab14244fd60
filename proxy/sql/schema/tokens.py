"""A place in the tokens of a body in PL/pgSQL, and the pieces of SQL that were found so far.

The tokens are the SQL scanner's, which PL/pgSQL shares. An expression reaches to a key word or a symbol outside of
parentheses, as in read_sql_construct(). What does not fit is a syntax error. Decides nothing about SQL.
Source: PostgreSQL, src/pl/plpgsql/src/pl_gram.y and pl_scanner.c.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, NoReturn

from proxy.errors import FeatureNotSupported, SyntaxRefused
from proxy.sql.parse import Token, tokens_of

RESERVED = frozenset({
    "all", "begin", "by", "case", "declare", "else", "end", "execute", "for", "foreach", "from", "if", "in", "into",
    "loop", "not", "null", "or", "strict", "then", "to", "using", "when", "while",
})  # fmt: skip
DYNAMIC = "Write the statement itself: what EXECUTE runs cannot be looked at beforehand."


class Piece(NamedTuple):
    """A part that is SQL. mode: how it is parsed; spans: where it stands, in characters: two where INTO is cut out."""

    mode: str
    spans: tuple[tuple[int, int], ...]


class Tokens:
    """The tokens of one body. at: the place of the next one."""

    def __init__(self, text: str) -> None:
        self.tokens = tokens_of(text)
        self.at = 0
        self.pieces: list[Piece] = []

    # -- tokens

    def token(self, at: int) -> Token | None:
        return self.tokens[at] if at < len(self.tokens) else None

    def word(self, ahead: int = 0) -> str:
        """The key word or plain identifier there; "" for anything else."""
        token = self.token(self.at + ahead)
        return "" if token is None else token.word

    def has(self, symbol: str, ahead: int = 0) -> bool:
        token = self.token(self.at + ahead)
        return token is not None and token.text == symbol

    def is_string(self, ahead: int = 0) -> bool:
        token = self.token(self.at + ahead)
        return token is not None and token.kind == "SCONST"

    def error(self) -> SyntaxRefused:
        """What is said of the next token where it does not fit."""
        token = self.token(self.at)
        return SyntaxRefused(f'syntax error at or near "{token.text}"' if token else "syntax error at end of input")

    def wrong(self) -> NoReturn:
        """Raises that."""
        raise self.error()

    def take(self, *words: str) -> bool:
        """Skips these key words if they are next."""
        for ahead, word in enumerate(words):
            if self.word(ahead) != word:
                return False
        self.at += len(words)
        return True

    def need(self, word: str) -> None:
        if not self.take(word):
            self.wrong()

    def skip(self, symbol: str) -> bool:
        if self.has(symbol):
            self.at += 1
            return True
        return False

    def need_symbol(self, symbol: str) -> None:
        if not self.skip(symbol):
            self.wrong()

    def is_name(self, at: int) -> bool:
        token = self.token(at)
        if token is None:
            return False
        return (token.kind == "IDENT" and not token.word) or (token.word != "" and token.word not in RESERVED)

    def name(self) -> None:
        if not self.is_name(self.at):
            self.wrong()
        self.at += 1

    def chain(self) -> int:
        """Skips a name with at most two more behind points; how many there are."""
        self.name()
        count = 1
        while self.has("."):
            self.at += 1
            self.name()
            count += 1
        if count > 3:
            self.wrong()
        return count

    def label(self) -> None:
        """The name of a block or loop behind its END."""
        if not self.has(";") and self.is_name(self.at):
            self.at += 1

    # -- pieces

    def find(self, ends: Iterable[str], start: int | None = None) -> int:
        """The place of the next of these words or symbols outside of parentheses."""
        wanted = frozenset(ends)
        depth = 0
        at = self.at if start is None else start
        while (token := self.token(at)) is not None:
            if depth == 0 and (token.word in wanted or (not token.word and token.text in wanted)):
                return at
            if token.text == ";":
                break
            depth += (token.text in ("(", "[")) - (token.text in (")", "]"))
            if depth < 0:
                break
            at += 1
        self.at = at
        raise self.error()

    def claim(self, mode: str, end: int, start: int | None = None) -> None:
        """What stands before `end` is a piece, and is skipped."""
        begin = self.at if start is None else start
        self.at = end
        if begin >= end:
            self.wrong()
        self.pieces.append(Piece(mode, ((self.tokens[begin].start, self.tokens[end - 1].end),)))

    def until(self, mode: str, *ends: str) -> None:
        if mode == "statement":
            self.refuse_dynamic()
        self.claim(mode, self.find(ends))

    def closing(self, at: int) -> int:
        """The place of the parenthesis or bracket that closes the one at `at`."""
        return self.find((")", "]"), at + 1)

    def arguments(self) -> None:
        """Values of a cursor's, if there are any."""
        if self.has("("):
            end = self.closing(self.at)
            self.at += 1
            self.claim("row", end)
            self.at += 1

    def refuse_dynamic(self) -> None:
        """FeatureNotSupported where EXECUTE is next."""
        if self.word() == "execute":
            raise FeatureNotSupported("EXECUTE is not supported here", hint=DYNAMIC)
