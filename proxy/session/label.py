"""The application_name at the server: tenant/login/application, for who looks at the server; the client sees its own.

The label is part of the session's settings: it is set as part of the difference, in one write with a statement, and
only where the connection had another last. What does not fit into 63 bytes is cut off at the end, as PostgreSQL does,
so a client's own name has 63 bytes less the label's. Decision 0046.
"""

from __future__ import annotations

import re

NAME = "application_name"
LONGEST = 63  # bytes of a name; NAMEDATALEN - 1
LONGEST_LABEL = 47  # bytes of tenant/login, so that something of the application's name is left
LITERAL = re.compile(r"'((?:[^']|'')*)'|(-?[0-9.]+)")


def label_of(tenant: str, login: str) -> str:
    """What stands before every name that this login gives: printable ASCII, ended by a slash."""
    text = f"{tenant}/{login}"
    return "".join(one if " " <= one <= "~" else "?" for one in text)[:LONGEST_LABEL] + "/"


def cut(name: str, label: str = "") -> str:
    """As much of the client's name as there is room for behind the label."""
    return name.encode()[: LONGEST - len(label)].decode("utf-8", "ignore")


def labelled(value: str, label: str) -> str:
    """The value of a SET with the label before it, as SQL text; what is no single value is the server's to refuse."""
    found = LITERAL.fullmatch(value)
    if found is None or not label:
        return value
    name = found[2] if found[1] is None else found[1].replace("''", "'")
    return "'" + (label + cut(name, label)).replace("'", "''") + "'"


def unlabelled(value: str, label: str) -> str:
    """The value of a SET, as SQL text, without the label before it."""
    found = LITERAL.fullmatch(value)
    if found is None or found[1] is None or not label:
        return value
    name = found[1].replace("''", "'").removeprefix(label)
    return "'" + name.replace("'", "''") + "'"


def cleaned(name: str, version: str) -> str:
    """As a server of this version shows it: other bytes than printable ASCII as \\x.., before 16 as question marks
    (pg_clean_ascii).
    """
    escaped = int(re.match(r"[0-9]*", version)[0] or 0) >= 16  # type: ignore[index]  # it matches at least nothing
    return "".join(chr(one) if 32 <= one <= 126 else f"\\x{one:02x}" if escaped else "?" for one in name.encode())
