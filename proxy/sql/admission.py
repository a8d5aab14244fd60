"""Admission: a value that the client gives for the tenant column is the tenant's key, or the statement is refused.

Pure, and asked where the value is first known: of literals when the template is filled, of parameters at Bind (or
EXECUTE). The answer is 42501 with one text, whatever the value and the key, so it tells nothing of any tenant. It is
not what confines: what is sent holds the key itself, or NULL for a value that is not the key. The form that is asked
for is the server's own output: 1 and not 01, a uuid in lower case with hyphens, a text exactly. Source: isolation.md
1.2, and decision 0014.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from proxy.errors import InsufficientPrivilege, Refusal
from proxy.sql.oids import BPCHAR, INT2, INT4, INT8, TEXT, UUID, VARCHAR
from proxy.sql.plan import Forward, KeyCheck, LiteralHole, Plan, Planned, Reject

WIDTHS: Mapping[int, int] = {INT2: 2, INT4: 4, INT8: 8}
# Drivers declare an integer by its size and a string as text or varchar: what converts without a change is taken.
TEXTS = frozenset({TEXT, VARCHAR})
INTEGER_FORM = re.compile(r"\s*[-+]?[0-9]{1,1000}\s*")  # int() refuses some thousands of digits
UUID_FORM = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def admitted(planned: Planned, keys: Mapping[str, str]) -> Planned:
    """The plans of a text for the tenant with these keys: a Reject in the place of each that its literals refuse."""
    for one in planned.plans:
        if isinstance(one, Forward) and one.checks and literals_refused(one.checks, keys, planned.literals):
            return planned._replace(plans=tuple(_admitted(each, keys, planned.literals) for each in planned.plans))
    return planned


def _admitted(plan: Plan, keys: Mapping[str, str], literals: Sequence[bytes]) -> Plan:
    refused = literals_refused(plan.checks, keys, literals) if isinstance(plan, Forward) else None
    if refused is None:
        return plan
    return Reject(plan.kind, refused.sqlstate, refused.message, rules=("admission.key",))


def literals_refused(checks: Sequence[KeyCheck], keys: Mapping[str, str], literals: Sequence[bytes]) -> Refusal | None:
    """Why the literals of this text may not stand for the tenant column; None where they may."""
    outputs: dict[tuple[int, str], bytes] = {}  # a list of many rows asks for one key many times
    for one in checks:
        if isinstance(one.value, int):
            continue
        wanted = outputs.get((one.type, one.key))
        if wanted is None:
            wanted = outputs[one.type, one.key] = output(one.type, keys[one.key])
        raw = literals[one.value.index] if isinstance(one.value, LiteralHole) else one.value
        if not _same(one.type, _unquoted(raw), wanted):
            return refusal(one)
    return None


def parameters_refused(
    checks: Sequence[KeyCheck],
    keys: Mapping[str, str],
    declared: Sequence[int],
    formats: Sequence[int],
    values: Sequence[bytes | None],
) -> Refusal | None:
    """Why these parameters may not stand for the tenant column. declared: the OIDs of Parse, 0 or left out for none;
    formats: as in Bind: none for text, one for all, or one each; values: None for NULL.
    """
    for one in checks:
        if not isinstance(one.value, int):
            continue
        at = one.value - 1
        given = declared[at] if at < len(declared) else 0
        form = 0 if not formats else formats[0] if len(formats) == 1 else formats[at] if at < len(formats) else -1
        wanted = _wire_form(given or one.type, one, keys[one.key], form)
        value = values[at] if at < len(values) else None
        if wanted is None or value is None or not _same(one.type, value, wanted):
            return refusal(one)
    return None


def refusal(check: KeyCheck) -> Refusal:
    """The one answer, in PostgreSQL's words for a row that a policy does not admit."""
    return InsufficientPrivilege(f'new row violates row-level security policy for table "{check.table}"')


def output(type_: int, key: str) -> bytes:
    """The key as the server prints it."""
    if type_ in WIDTHS and INTEGER_FORM.fullmatch(key):
        return b"%d" % int(key)
    if type_ == UUID and UUID_FORM.fullmatch(key):
        return key.lower().encode()
    return key.encode()


def _wire_form(given: int, check: KeyCheck, key: str, form: int) -> bytes | None:
    """The bytes that a parameter of type `given` must have in this format; None where none will do."""
    known = given == check.type or any(check.type in one and given in one for one in (WIDTHS, TEXTS))
    if not known or form not in (0, 1):
        return None
    text = output(check.type, key)
    if form == 0:
        return text
    try:
        if given in WIDTHS:
            return int(text).to_bytes(WIDTHS[given], "big", signed=True)
        return bytes.fromhex(text.decode().replace("-", "")) if given == UUID else text
    except (ValueError, OverflowError):
        return None


def _same(type_: int, value: bytes, wanted: bytes) -> bool:
    """Equal; the blanks that pad a bpchar mean nothing."""
    return value == wanted or (type_ == BPCHAR and value.rstrip(b" ") == wanted.rstrip(b" "))


def _unquoted(raw: bytes) -> bytes:
    """A literal's value: 7 and '7' are both 7."""
    return raw[1:-1].replace(b"''", b"'") if raw[:1] == b"'" else raw
