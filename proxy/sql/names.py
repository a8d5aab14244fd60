"""Names in texts, as the input functions of regclass and its like read them."""

from __future__ import annotations

import re

NAME_PART = re.compile(r'\s*(?:"((?:[^"]|"")*)"|([^."]+))\s*(?:\.|$)')


def split_name(text: str) -> tuple[str | None, str]:
    """A possibly qualified name in text: quoted parts as they are, others folded; as textToQualifiedNameList."""
    parts = [
        quoted.replace('""', '"') if quoted or not plain else plain.strip().lower()
        for quoted, plain in NAME_PART.findall(text)
    ]
    return (None, parts[0] if parts else "") if len(parts) < 2 else (parts[-2], parts[-1])
