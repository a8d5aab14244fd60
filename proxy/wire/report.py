"""ErrorResponse and NoticeResponse: fields by their letter, and how to build one.

A report is only a carrier: what a client may read in it is decided by whoever builds it. Severity goes out twice, as S
(which a server may translate) and V (which nobody does), as PostgreSQL has done since 9.6.
Source: PostgreSQL documentation, "Error and Notice Message Fields".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from proxy.errors import RemoteProtocolError
from proxy.wire.fields import Reader, Writer


def _encode(tag: int, fields: Mapping[str, str]) -> bytes:
    writer = Writer()
    for letter, value in fields.items():
        writer.byte(ord(letter)).text(value)
    return writer.raw(b"\0").message(tag)


def _decode(body: bytes) -> dict[str, str]:
    reader = Reader(body)
    fields: dict[str, str] = {}
    while letter := reader.byte():
        key = chr(letter)
        if letter > 127 or key in fields:
            raise RemoteProtocolError("invalid message format")
        fields[key] = reader.text()
    reader.end()
    return fields


def _build(
    severity: str,
    sqlstate: str,
    message: str,
    detail: str | None,
    hint: str | None,
    position: int | None,
    others: Mapping[str, str] | None,
) -> dict[str, str]:
    fields = {"S": severity, "V": severity, "C": sqlstate, "M": message.replace("\0", "")}
    for letter, value in (("D", detail), ("H", hint), ("P", None if position is None else str(position))):
        if value is not None:
            fields[letter] = value.replace("\0", "")  # texts may quote what a client sent
    return {**fields, **(others or {})}


@dataclass(frozen=True, slots=True)
class ErrorResponse:
    """An error. fields by letter: S severity, V the same untranslated, C SQLSTATE, M message, D detail, H hint."""

    fields: Mapping[str, str]

    @classmethod
    def build(
        cls,
        severity: str,
        sqlstate: str,
        message: str,
        detail: str | None = None,
        hint: str | None = None,
        position: int | None = None,
        others: Mapping[str, str] | None = None,
    ) -> Self:
        """An error of our own. position: characters of the client's text, from 1. others: further fields by letter."""
        return cls(_build(severity, sqlstate, message, detail, hint, position, others))

    @property
    def severity(self) -> str:
        """ERROR, FATAL or PANIC, never translated; empty when the server did not say."""
        return self.fields.get("V", self.fields.get("S", ""))

    @property
    def sqlstate(self) -> str:
        """Five characters; empty when the server did not say."""
        return self.fields.get("C", "")

    @property
    def message(self) -> str:
        """The primary message."""
        return self.fields.get("M", "")

    def encode(self) -> bytes:
        """The whole message."""
        return _encode(ord("E"), self.fields)

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """The message with this body; RemoteProtocolError also when a field is given twice."""
        return cls(_decode(body))


@dataclass(frozen=True, slots=True)
class NoticeResponse:
    """A warning or other notice; it answers nothing and may come at any time."""

    fields: Mapping[str, str]

    @classmethod
    def build(
        cls,
        severity: str,
        sqlstate: str,
        message: str,
        detail: str | None = None,
        hint: str | None = None,
        position: int | None = None,
        others: Mapping[str, str] | None = None,
    ) -> Self:
        """A notice of our own, as ErrorResponse.build."""
        return cls(_build(severity, sqlstate, message, detail, hint, position, others))

    def encode(self) -> bytes:
        """The whole message."""
        return _encode(ord("N"), self.fields)

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """The message with this body; RemoteProtocolError also when a field is given twice."""
        return cls(_decode(body))
