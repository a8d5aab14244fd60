"""The trailing comment of a client's statement, which sqlcommenter writes and `comments: keep` sends on.

Plans are found and made without it, since its trace id is another one each time; what is sent of a plan ends with it. A
comment that is clean ends no sooner than it seems to, so that behind a text of the proxy's own it changes nothing,
wherever it came from. A text in which it is not certain that the comment is one is left as it is.
Source: PostgreSQL documentation, 4.1.5 "Comments".
"""

from __future__ import annotations

import re

from proxy.sql.lift import lift

LONGEST = 1024  # bytes
_ENDS = b" \t\r\n\f;"
_CLEAN = re.compile(rb"/\*(?:(?!/\*|\*/)[ -\[\]-~])*\*/")  # printable ASCII without backslash
_SETS = re.compile(rb"/\*\+.*set\s*\(", re.IGNORECASE)  # pg_hint_plan's hint that changes a setting
_DOLLAR = re.compile(rb"\$(?![0-9])|[0-9A-Za-z_\x80-\xff]\$")  # may begin a string; a parameter does not match


def split(text: bytes) -> tuple[bytes, bytes]:
    """One statement without the clean block comment at its end, and that comment; the whole text and b"" where there is
    none, or where it is not certain that it is one. The first is a prefix of the text.
    """
    ended = text.rstrip(_ENDS)
    if not ended.endswith(b"*/"):
        return text, b""
    start = ended.rfind(b"/*")
    comment = ended[start:] if start > 0 else b""
    if len(comment) > LONGEST or not _CLEAN.fullmatch(comment) or _SETS.match(comment):
        return text, b""
    statement = text[:start].rstrip(_ENDS[:-1])
    lifted = lift(statement)
    if lifted is None or not statement.strip(_ENDS):
        return text, b""  # the comment may begin inside of something
    if b";" in lifted.shape.rstrip(_ENDS) or _DOLLAR.search(lifted.shape):
        return text, b""
    return statement, comment
