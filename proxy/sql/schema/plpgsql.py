"""A body in PL/pgSQL, read as the server reads it: which parts of it are SQL, and how the server parses each of them.

The reader follows pl_gram.y. INTO and what it names is cut out of a statement. Whatever it does not know is refused; so
is EXECUTE, whose text nobody can look at beforehand. It judges no SQL: that is for bodies.py.
Source: PostgreSQL, src/pl/plpgsql/src/pl_gram.y.
"""

from __future__ import annotations

from typing import NoReturn

from proxy.errors import FeatureNotSupported, SyntaxRefused
from proxy.sql.schema.declarations import Declarations
from proxy.sql.schema.tokens import Piece

OPTIONS = {
    "variable_conflict": ("error", "use_variable", "use_column"),
    "print_strict_params": ("on", "off"),
}
LEVELS = frozenset({"exception", "warning", "notice", "info", "log", "debug"})
DIRECTIONS = frozenset({
    "absolute", "all", "backward", "first", "forward", "last", "next", "prior", "relative",
})  # fmt: skip
QUERIES = frozenset({
    "call", "delete", "explain", "insert", "merge", "select", "show", "table", "update", "values", "with",
})  # fmt: skip
SECTIONS = frozenset({"else", "elsif", "elseif", "end", "exception", "when"})  # what ends a list of statements


def read_plpgsql(text: str) -> list[Piece]:
    """The pieces, in order. Raises a Refusal: 42601 for what is no PL/pgSQL, 0A000 for dynamic statements."""
    reader = _Reader(text)
    reader.function()
    return reader.pieces


class _Reader(Declarations):
    # -- blocks

    def function(self) -> None:
        """The whole body."""
        while self.skip("#"):
            if self.word(1) not in OPTIONS.get(self.word(), ()):
                self.wrong()
            self.at += 2
        self._labelled()
        self._block()
        self.skip(";")
        if self.token(self.at) is not None:
            self.wrong()

    def _labelled(self) -> bool:
        if not self.skip("<<"):
            return False
        self.name()
        self.need_symbol(">>")
        return True

    def _block(self) -> None:
        if self.take("declare"):
            while self.word() != "begin":
                if not self.take("declare"):
                    self.declaration()
        self.need("begin")
        self._statements()
        if self.take("exception"):
            if self.word() != "when":
                self.wrong()
            while self.take("when"):
                self._condition()
                while self.take("or"):
                    self._condition()
                self.need("then")
                self._statements()
        self.need("end")
        self.label()

    def _condition(self) -> None:
        if self.word() == "sqlstate" and self.is_string(1):
            self.at += 2
        else:
            self.name()

    # -- statements

    def _statements(self) -> None:
        while not (self.word() in SECTIONS and not self._assigns()):
            if self.token(self.at) is None:
                self.wrong()
            self._statement()

    def _statement(self) -> None:
        word = "" if self._assigns() else self.word()
        if self._labelled():
            word = self.word()
            if word not in ("loop", "while", "for", "foreach", "declare", "begin"):
                self.wrong()
        elif self._assigns():
            self._assignment()
            return
        own = STATEMENTS.get(word)
        if own is None:
            self._sql()
        else:
            if word not in ("declare", "begin", "call"):
                self.at += 1
            own(self)
        self.need_symbol(";")

    def _after_target(self) -> int:
        """The place behind a variable, its fields and subscripts."""
        token = self.token(self.at)
        if token is None or not (token.kind == "PARAM" or self.is_name(self.at)):
            return self.at
        at = self.at + 1
        while (token := self.token(at)) is not None:
            if token.text == "." and self.is_name(at + 1):
                at += 2
            elif token.text == "[":
                at = self.closing(at) + 1
            else:
                break
        return at

    def _assigns(self) -> bool:
        here = self.at
        try:
            end = self._after_target()
        except SyntaxRefused:
            self.at = here
            return False
        token = self.token(end)
        return end > here and token is not None and token.text in (":=", "=")

    def _assignment(self) -> None:
        self.claim("expression", self._after_target())
        self.at += 1
        self.until("expression", ";")
        self.need_symbol(";")

    def _sql(self) -> None:
        """A statement of SQL, of which INTO and its variables are cut out."""
        self.refuse_dynamic()
        begin, end = self.at, self.find(";")
        hole: tuple[int, int] | None = None
        at = begin
        while at < end:
            if self.tokens[at].word == "into" and (at == begin or self.tokens[at - 1].word not in ("insert", "merge")):
                if hole is not None:
                    self.at = at
                    self.wrong()
                self.at = at + 1
                self._into()
                hole = (at, self.at)
                at = self.at
            else:
                at += 1
        if hole is None:
            self.at = begin
            self.claim("statement", end)
            return
        if hole[0] == begin:
            self.wrong()
        spans = [(self.tokens[begin].start, self.tokens[hole[0] - 1].end)]
        if hole[1] < end:
            spans.append((self.tokens[hole[1]].start, self.tokens[end - 1].end))
        self.pieces.append(Piece("statement", tuple(spans)))
        self.at = end

    def _into(self) -> None:
        """[STRICT] and variables; behind them nothing that could belong to the last of them."""
        self.take("strict")
        self._targets()
        if self.has(".") or self.has("["):
            self.wrong()

    def _targets(self) -> None:
        self.chain()
        while self.skip(","):
            self.chain()

    def _if(self) -> None:
        while True:
            self.until("expression", "then")
            self.at += 1
            self._statements()
            if not (self.take("elsif") or self.take("elseif")):
                break
        if self.take("else"):
            self._statements()
        self.need("end")
        self.need("if")

    def _case(self) -> None:
        simple = self.word() != "when"
        if simple:
            self.until("expression", "when")
        if self.word() != "when":
            self.wrong()
        while self.take("when"):
            self.until("values" if simple else "expression", "then")
            self.at += 1
            self._statements()
        if self.take("else"):
            self._statements()
        self.need("end")
        self.need("case")

    def _loop(self) -> None:
        self._statements()
        self.need("end")
        self.need("loop")
        self.label()

    def _while(self) -> None:
        self.until("expression", "loop")
        self.at += 1
        self._loop()

    def _for(self) -> None:
        self._targets()
        self.need("in")
        self.refuse_dynamic()
        backwards = self.take("reverse")
        begin, end = self.at, self.find(("..", "loop"))
        if self.tokens[end].text == "..":
            self.claim("expression", end)
            self.at += 1
            self.until("expression", "loop", "by")
            if self.take("by"):
                self.until("expression", "loop")
        elif backwards:
            self.wrong()
        elif self._is_cursor(begin, end):
            self.chain()
            self.arguments()
        else:
            self.claim("statement", end)
        self.need("loop")
        self._loop()

    def _is_cursor(self, begin: int, end: int) -> bool:
        """Is it a cursor's name, with or without values? It stands by itself, or before a parenthesis that ends it."""
        if self.tokens[begin].word in QUERIES or not self.is_name(begin):
            return False
        at = begin + 1
        while at < end and self.tokens[at].text == "." and self.is_name(at + 1):
            at += 2
        return at == end or (self.tokens[at].text == "(" and self.closing(at) == end - 1)

    def _foreach(self) -> None:
        self._targets()
        if self.take("slice"):
            token = self.token(self.at)
            if token is None or token.kind != "ICONST":
                self.wrong()
            self.at += 1
        self.need("in")
        self.need("array")
        self.until("expression", "loop")
        self.at += 1
        self._loop()

    def _leave(self) -> None:
        if self.word() != "when":
            self.label()
        if self.take("when"):
            self.until("expression", ";")

    def _return(self) -> None:
        if self.take("query"):
            self.until("statement", ";")
            return
        self.take("next")
        if not self.has(";"):
            self.until("expression", ";")

    def _raise(self) -> None:
        if self.word() in LEVELS:
            self.at += 1
        if self.has(";"):
            return
        if self.is_string():
            self.at += 1
            while self.skip(","):
                self.until("expression", ",", ";", "using")
        elif self.word() != "using":
            self._condition()
        if self.take("using"):
            while True:
                self.name()
                if not (self.skip("=") or self.skip(":=")):
                    self.wrong()
                self.until("expression", ",", ";")
                if not self.skip(","):
                    break

    def _assert(self) -> None:
        self.until("expression", ",", ";")
        if self.skip(","):
            self.until("expression", ";")

    def _perform(self) -> None:
        self.until("expression", ";")

    def _get(self) -> None:
        if self.word() in ("current", "stacked"):
            self.at += 1
        self.need("diagnostics")
        while True:
            self.chain()
            if not (self.skip("=") or self.skip(":=")):
                self.wrong()
            self.name()
            if not self.skip(","):
                break

    def _open(self) -> None:
        self.chain()
        if self.has("("):
            self.arguments()
        elif not self.has(";"):
            self.take("no")
            self.take("scroll")
            self.need("for")
            self.until("statement", ";")

    def _fetch(self) -> None:
        self._direction("into")
        self.need("into")
        self._targets()

    def _move(self) -> None:
        self._direction(";")

    def _direction(self, end: str) -> None:
        """[direction FROM] cursor"""
        last = self.find((end,))
        middle = self.find(("from", "in", end))
        if middle < last:
            if self.word() in DIRECTIONS:
                self.at += 1
                self.take("all")
            if self.at < middle:
                self.claim("expression", middle)
            self.at = middle + 1
        self.chain()

    def _close(self) -> None:
        self.chain()

    def _finish(self) -> None:
        """COMMIT or ROLLBACK"""
        if self.take("and"):
            self.take("no")
            self.need("chain")

    def _nothing(self) -> None:
        """NULL"""

    def _refuse(self) -> NoReturn:
        """DO"""
        raise FeatureNotSupported("DO is not supported in a function", hint="Write its statements in a block.")


STATEMENTS = {
    "assert": _Reader._assert,
    "begin": _Reader._block,
    "call": _Reader._sql,
    "case": _Reader._case,
    "close": _Reader._close,
    "commit": _Reader._finish,
    "continue": _Reader._leave,
    "declare": _Reader._block,
    "do": _Reader._refuse,
    "exit": _Reader._leave,
    "fetch": _Reader._fetch,
    "for": _Reader._for,
    "foreach": _Reader._foreach,
    "get": _Reader._get,
    "if": _Reader._if,
    "loop": _Reader._loop,
    "move": _Reader._move,
    "null": _Reader._nothing,
    "open": _Reader._open,
    "perform": _Reader._perform,
    "raise": _Reader._raise,
    "return": _Reader._return,
    "rollback": _Reader._finish,
    "while": _Reader._while,
}
