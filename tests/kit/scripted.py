"""A PostgreSQL that does what the words of its statements say, sans-IO: what a session sends goes in, its replies come
out. It keeps statements, portals and the state of the transaction as the real one does, and skips to Sync after an
error.

Words in a statement: `rows3` gives so many rows (none without it); `nodata` describes no rows; `fails` fails when it is
run, after its rows; `unparsable` when it is parsed; `notes` sends a notice and `tells` a changed parameter with the
reply; `stales` goes stale under each name once. BEGIN, COMMIT and ROLLBACK do what they do.
"""

from __future__ import annotations

import re

from proxy.wire.fields import Reader, message

DESCRIPTION = message(84, b"\0\1a\0" + bytes(18))
ROW = message(68, b"\0\1\0\0\0\1x")
NO_DATA = message(110, b"")
NOTICE = message(78, b"SNOTICE\0VNOTICE\0C00000\0Mnoted\0\0")


class Failure(Exception):
    """An ErrorResponse of this SQLSTATE."""


class ScriptedServer:
    """One backend. `status`: of the transaction, as ReadyForQuery has it."""

    def __init__(self) -> None:
        self.status = "I"
        self.statements: dict[bytes, str] = {}
        self.portals: dict[bytes, str] = {}
        self.skipping = False
        self.told = 0
        self.stale: set[bytes] = set()  # names that have been
        self._partial = b""

    def feed(self, data: bytes) -> bytes:
        """The replies to what was sent, whole messages of it."""
        self._partial += data
        out = b""
        while len(self._partial) >= 5:
            end = 1 + int.from_bytes(self._partial[1:5], "big")
            if len(self._partial) < end:
                break
            tag, body, self._partial = self._partial[0], self._partial[5:end], self._partial[end:]
            out += self._answer(chr(tag), Reader(body))
        return out

    def _answer(self, tag: str, body: Reader) -> bytes:
        if tag == "S":
            self.skipping = False
            return self._ready()
        if self.skipping:
            return b""
        if tag == "Q":
            return self._query(body.cstring().decode())
        try:
            return self._extended(tag, body)
        except Failure as failure:
            self.skipping = True
            return self._fail(failure)

    def _query(self, text: str) -> bytes:
        out = b""
        self.statements.pop(b"", None)
        try:
            for one in text.split(";\n"):
                self._parsed(one)
                out += (DESCRIPTION if self._rows(one) else b"") + self._run(one)
        except Failure as failure:
            out += self._fail(failure)
        return out + self._ready()

    def _extended(self, tag: str, body: Reader) -> bytes:
        if tag == "P":
            name, text = body.cstring(), body.cstring().decode()
            self._parsed(text)
            if name and name in self.statements:
                raise Failure("42P05")
            self.statements[name] = text
            return message(49, b"")
        if tag == "B":
            portal, name = body.cstring(), body.cstring()
            if name not in self.statements:
                raise Failure("26000")
            self._alive(self.statements[name])
            if "stales" in self.statements[name] and name and name not in self.stale:
                self.stale.add(name)
                raise Failure("0A000")
            self.portals[portal] = self.statements[name]
            return message(50, b"")
        if tag == "H":
            return b""
        if tag == "E":
            portal, limit = body.cstring(), body.int32()
            text = self._named(self.portals, portal, "34000")
            if 0 < limit <= self._rows(text):
                return ROW * limit + message(115, b"")
            return self._run(text)
        what, name = body.byte(), body.cstring()
        names = self.portals if what == 80 else self.statements
        if tag == "C":
            names.pop(name, None)
            return message(51, b"")
        text = self._named(names, name, "34000" if what == 80 else "26000")
        described = DESCRIPTION if self._rows(text) and "nodata" not in text else NO_DATA
        return described if what == 80 else message(116, b"\0\0") + described

    @staticmethod
    def _named(names: dict[bytes, str], name: bytes, code: str) -> str:
        if name not in names:
            raise Failure(code)
        return names[name]

    def _parsed(self, text: str) -> None:
        if "unparsable" in text or text.startswith("refused"):
            raise Failure("42601")
        self._alive(text)

    def _alive(self, text: str) -> None:
        if self.status == "E" and text not in ("COMMIT", "ROLLBACK"):
            raise Failure("25P02")

    @staticmethod
    def _rows(text: str) -> int:
        found = re.search(r"rows(\d)", text)
        return int(found.group(1)) if found else 0

    def _run(self, text: str) -> bytes:
        self._alive(text)
        out = ROW * self._rows(text)
        if "fails" in text:
            raise Failure("22012")
        tag = text.split(" ", maxsplit=1)[0]
        if text == "BEGIN":
            self.status = "T"
        elif text in ("COMMIT", "ROLLBACK"):
            tag = "ROLLBACK" if self.status == "E" else text
            self.status = "I"
        if "notes" in text:
            out += NOTICE
        if "tells" in text:
            self.told += 1
            out += message(83, b"application_name\0%d\0" % self.told)
        return out + message(67, tag.encode() + b"\0")

    def _fail(self, failure: Failure) -> bytes:
        self.status = "E" if self.status == "T" else self.status
        routine = "RRevalidateCachedQuery\0" if str(failure) == "0A000" else ""
        return message(69, f"SERROR\0VERROR\0C{failure}\0Mno\0{routine}\0".encode())

    def _ready(self) -> bytes:
        if self.status == "I":
            self.portals.clear()
        return message(90, self.status.encode())
