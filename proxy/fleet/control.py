"""What the control door is asked, and what it answers: frozen values, and one strict form in JSON for both ways in.

A request that is unknown, has an unknown field, lacks one or has one of another type is refused whole. Nothing is
carried out here. Times are seconds. `INSIDE` are the requests that only processes of one proxy send each other; they
come by its sockets and never over HTTP.
"""

from __future__ import annotations

import types
from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any, Union, get_args, get_origin, get_type_hints

import orjson

MAX_REQUEST = 256 << 10  # bytes
LONGEST = 86_400.0  # seconds that anything may be asked to take


class BadRequest(Exception):
    """Not a request; the text says why, to whoever may open the door."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """What each process has to say of itself, and of each tenant that uses it, or of one."""

    tenant: str | None = None


@dataclass(frozen=True, slots=True)
class Prepare:
    """Read the rules as if `file` of their folder had the text of `draft`, which lies there too, and open what they
    name. Nothing is in force.
    """

    file: str
    draft: str


@dataclass(frozen=True, slots=True)
class PrepareRow:
    """The same with a row of a table of tenants, whose document may become `text`, which Reload calls `draft`. lock: an
    advisory lock that is held in that database while this is asked.
    """

    tenant: str
    text: str
    draft: str
    lock: int


@dataclass(frozen=True, slots=True)
class Reload:
    """Take the rules and certificates anew, whole or not at all. draft: the rules that Prepare or PrepareRow made of
    it, at once, if they are still those of the files and rows.
    """

    draft: str | None = None


@dataclass(frozen=True, slots=True)
class Pause:
    """Lend no server connection of this tenant and database (None: any) until Resume, or for `hold` seconds; clients
    wait. Answered once none is out. Those that still are out after `timeout` are named, and nothing is paused.
    """

    tenant: str | None = None
    database: str | None = None
    timeout: float = 30.0
    hold: float | None = None


@dataclass(frozen=True, slots=True)
class Resume:
    """Undo a Pause or a Drain of just this tenant and database; with neither, every one."""

    tenant: str | None = None
    database: str | None = None


@dataclass(frozen=True, slots=True)
class Kill:
    """End the sessions that fit everything that is given, by 57P01; at least one thing must be."""

    tenant: str | None = None
    login: str | None = None
    process_id: int | None = None


@dataclass(frozen=True, slots=True)
class Drain:
    """End the process as SIGTERM does; or one tenant's sessions: no new ones until Resume, idle ones end, transactions
    finish within `timeout`. Those that have not ended by then are named, and new ones may come again.
    """

    tenant: str | None = None
    timeout: float = 30.0


@dataclass(frozen=True, slots=True)
class Cancel:
    """A client's CancelRequest whose process id is another process's. The key in hexadecimal."""

    process_id: int
    key: str


@dataclass(frozen=True, slots=True)
class Ping:
    """Say that the event loop turns, and how far the process is."""


@dataclass(frozen=True, slots=True)
class Metrics:
    """Every family of metrics, as data."""


@dataclass(frozen=True, slots=True)
class Proofs:
    """What came of proofs elsewhere: login, address, and whether each was right."""

    weighed: tuple[tuple[str, str, bool], ...]


@dataclass(frozen=True, slots=True)
class Stored:
    """What tenants have stored: the bytes of each, from the worker that counts."""


Request = (
    Statistics
    | Prepare
    | PrepareRow
    | Reload
    | Pause
    | Resume
    | Kill
    | Drain
    | Cancel
    | Ping
    | Metrics
    | Proofs
    | Stored
)
REQUESTS: dict[str, type[Request]] = {one.__name__.lower(): one for one in get_args(Request)}
INSIDE = (Ping, Metrics, Proofs, Stored)
_TYPES: dict[str, dict[str, Any]] = {name: get_type_hints(one) for name, one in REQUESTS.items()}


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a request: nothing is wrong where there are no problems."""

    result: Any = None
    problems: tuple[str, ...] = ()


def patience(request: Request) -> float:
    """Seconds after which nobody waits for the answer any more."""
    if isinstance(request, Pause | Drain):
        return request.timeout + 30.0
    return 120.0 if isinstance(request, Prepare | PrepareRow | Reload) else 10.0


def encode(request: Request) -> bytes:
    """A request's JSON."""
    return orjson.dumps({"request": type(request).__name__.lower(), **asdict(request)})


def decode(text: bytes) -> Request:
    """The request that a text is. BadRequest when it is none."""
    if len(text) > MAX_REQUEST:
        raise BadRequest("the request is too long")
    try:
        given = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise BadRequest("the request is not JSON") from None
    if not isinstance(given, dict):
        raise BadRequest("the request is not an object")
    name = given.pop("request", None)
    kind = REQUESTS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise BadRequest("there is no such request")
    hints = _TYPES[str(name)]
    for field in fields(kind):
        if field.name in given:
            given[field.name] = _value(given[field.name], hints[field.name], field.name)
        elif field.default is MISSING:
            raise BadRequest(f"{field.name} is missing")
    unknown = sorted(set(given) - set(hints))
    if unknown:
        raise BadRequest(f"{name} has no {unknown[0]!r}")
    return kind(**given)


def _value(value: Any, wanted: Any, name: str) -> Any:
    """The value in the type that the field has."""
    if get_origin(wanted) in {types.UnionType, Union}:
        if value is None:
            return None
        (wanted,) = [one for one in get_args(wanted) if one is not type(None)]
    if get_origin(wanted) is tuple:
        inner = get_args(wanted)
        if isinstance(value, list) and inner[-1] is Ellipsis:
            return tuple([_value(one, inner[0], name) for one in value])
        if isinstance(value, list) and len(value) == len(inner):
            return tuple([_value(one, kind, name) for one, kind in zip(value, inner, strict=True)])
    elif wanted is float and isinstance(value, int | float) and not isinstance(value, bool):
        if not 0 <= value <= LONGEST:
            raise BadRequest(f"{name} must be between 0 and {LONGEST:.0f} seconds")
        return float(value)
    elif wanted in {str, int, bool} and type(value) is wanted:
        return value
    raise BadRequest(f"{name} is of the wrong type")


def encode_answer(answer: Answer) -> bytes:
    """An answer's JSON."""
    return orjson.dumps({"result": answer.result, "problems": answer.problems})


def decode_answer(text: bytes) -> Answer:
    """The answer that a text is. BadRequest when it is none."""
    try:
        given = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise BadRequest("the answer is not JSON") from None
    if not isinstance(given, dict) or given.keys() != {"result", "problems"} or not isinstance(given["problems"], list):
        raise BadRequest("the answer has another form")
    return Answer(given["result"], tuple(str(one) for one in given["problems"]))
