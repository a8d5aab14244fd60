"""Errors of COPY FROM STDIN in the client's terms: no column that it did not send, and one answer for a foreign row.

Pure. The server's CONTEXT quotes the line, which begins with the tenant column where the proxy supplied it, and some
messages count columns. What is quoted is cut at 100 bytes, so a long line may be shown shorter than on a private
database. Source: CopyFromErrorCallback in commands/copyfrom.c, messages of copyfromparse.c.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from proxy.sql.copied import CopyIn
from proxy.sql.plan import FOREIGN_ROW
from proxy.wire.copyformat import CopyFormat

REFUSED = f'invalid input syntax for type boolean: "{FOREIGN_ROW}'
CUT = '..."'
COUNTED = re.compile(
    r"(?P<say>row field count is |wrong number of fields in header line: got )"
    r"(?P<count>-?\d+)(?P<then>, expected )(?P<wanted>\d+)"
)
NUMBERED = re.compile(r"(?P<say>column name mismatch in header line field )(?P<count>\d+)(?P<then>: .*)", re.DOTALL)


def in_clients_terms(fields: Mapping[str, str], copy: CopyIn, keys: Mapping[str, str]) -> dict[str, str]:
    """The fields of an error or notice about this COPY; `keys`: the tenant's."""
    shown = dict(fields)
    message = shown.get("M", "")
    if shown.get("C") == "22P02" and message.startswith(REFUSED):
        shown |= {"C": "42501", "M": f'new row violates row-level security policy for table "{copy.table}"'}
        for name in "FLR":  # where the server's code failed, which is not where it would have
            shown.pop(name, None)
    if not copy.supplied or copy.format is None:
        return shown
    own = message.startswith("row field count")
    if "W" in shown and copy.format.name != "binary":
        shown["W"], own = _without(shown["W"], copy, copy.format, keys)
    if found := COUNTED.fullmatch(message):
        count = int(found["count"])  # our column is one of them, but for a number that was not touched
        shown["M"] = f"{found['say']}{count - (own and count > 0)}{found['then']}{int(found['wanted']) - 1}"
    elif found := NUMBERED.fullmatch(message):
        shown["M"] = f"{found['say']}{int(found['count']) - 1}{found['then']}"
    return shown


def _without(context: str, copy: CopyIn, form: CopyFormat, keys: Mapping[str, str]) -> tuple[str, bool]:
    """CONTEXT whose line is quoted without what we put before it, and whether there was something."""
    found = re.search(rf'^COPY {re.escape(copy.table)}, line (\d+): "', context, re.MULTILINE)
    if found is None:
        return context, False
    field = form.value(keys[copy.key], copy.type)
    if found[1] == "1" and form.header:
        field = form.value(copy.supplied, "text")
    prefix = (field + form.delimiter).decode()
    line = context[found.end() :]
    if line.startswith(prefix):
        return context[: found.end()] + line[len(prefix) :], True
    if line.endswith(CUT) and prefix.startswith(line.removesuffix(CUT)):
        return context[: found.end()] + CUT, True
    return context, False
