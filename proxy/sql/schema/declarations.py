"""The declarations of a block in PL/pgSQL: variables, their types and defaults, cursors and their queries.

A type is a piece of its own, and so is the relation that %TYPE or %ROWTYPE takes one from. Reads no statements.
Source: PostgreSQL, src/pl/plpgsql/src/pl_gram.y, decl_statement and read_datatype().
"""

from __future__ import annotations

from proxy.sql.schema.tokens import Tokens


class Declarations(Tokens):
    """Of one body."""

    def declaration(self) -> None:
        self.name()
        if self.take("alias"):
            self.need("for")
            token = self.token(self.at)
            if token is not None and token.kind == "PARAM":
                self.at += 1
            else:
                self.chain()
        elif self.take("no", "scroll", "cursor") or self.take("scroll", "cursor") or self.take("cursor"):
            if self.skip("("):
                while True:
                    self.name()
                    self.datatype()
                    if not self.skip(","):
                        break
                self.need_symbol(")")
            if not self.take("is"):
                self.need("for")
            self.until("statement", ";")
        else:
            self.take("constant")
            self.datatype()
            if self.take("collate"):
                begin = self.at
                self.chain()
                self.claim("collation", self.at, begin)
            if self.take("not"):
                self.need("null")
            if self.take("default") or self.skip(":=") or self.skip("="):
                self.until("expression", ";")
        self.need_symbol(";")

    def datatype(self) -> None:
        begin = self.at
        if self.is_name(self.at):
            count = self.chain()
            if self.has("%") and self.word(1) in ("type", "rowtype"):
                self._like(begin, count, self.word(1) == "rowtype")
                return
        self.at = begin
        self.until("type", ";", ",", ")", "=", ":=", "collate", "default", "not")

    def _like(self, begin: int, count: int, row: bool) -> None:
        """a.b%TYPE, a%ROWTYPE: the relation in it is a piece. `a%TYPE` is a variable's."""
        names = count if row else count - 1
        end = self.at + 2
        if names:
            self.claim("table", begin + 2 * names - 1, begin)
        self.at = end
        self.take("array")
        while self.skip("["):
            token = self.token(self.at)
            self.at += token is not None and token.kind == "ICONST"
            self.need_symbol("]")
