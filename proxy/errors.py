"""The one tree of refusals.

Every class names its SQLSTATE and severity in its header; an instance carries what a client may read: message,
detail, hint and
position. Nothing in here formats a protocol message (wire does) or decides anything. Texts follow PostgreSQL's own
manner; a
refusal never names an object that its reader could not have named.
SQLSTATEs: PostgreSQL documentation, Appendix A.
"""

from __future__ import annotations


class Refusal(Exception):
    """A statement, message or connection that is refused. `position` counts characters of the client's text from 1;
    whoever knows a
    byte offset only gives `location`, and the planner, which has the text, the position.
    """

    sqlstate = "XX000"
    severity = "ERROR"
    rule = (
        ""  # that refused it, where a session knows it by a name of its own; for audit and metrics, never for clients
    )

    def __init__(
        self,
        message: str,
        *,
        detail: str | None = None,
        hint: str | None = None,
        position: int | None = None,
        location: int | None = None,
        sqlstate: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail
        self.hint = hint
        self.position = position
        self.location = location
        if sqlstate is not None:
            self.sqlstate = sqlstate


class RemoteProtocolError(Refusal):
    """The peer broke the protocol; the connection cannot go on."""

    sqlstate = "08P01"
    severity = "FATAL"


class FeatureNotSupported(Refusal):
    """Legal SQL that cannot be confined, or is not supported yet; carries a HINT with the way out."""

    sqlstate = "0A000"


class InsufficientPrivilege(Refusal):
    """A verb or function that a tenant may not use."""

    sqlstate = "42501"


class SyntaxRefused(Refusal):
    """The text does not parse."""

    sqlstate = "42601"


class UndefinedTable(Refusal):
    """The relation does not exist, or policy hides it: the same answer."""

    sqlstate = "42P01"


class UndefinedColumn(Refusal):
    """The column does not exist."""

    sqlstate = "42703"


class AmbiguousColumn(Refusal):
    """Several columns have the name."""

    sqlstate = "42702"


class DuplicateAlias(Refusal):
    """Two items of a FROM clause have one name."""

    sqlstate = "42712"


class UndefinedFunction(Refusal):
    """The function does not exist, or policy hides it: the same answer."""

    sqlstate = "42883"


class UndefinedObject(Refusal):
    """A type, setting or other object does not exist, or policy hides it: the same answer."""

    sqlstate = "42704"


class StatementTooComplex(Refusal):
    """Nested too deeply to be planned."""

    sqlstate = "54001"


class ProgramLimitExceeded(Refusal):
    """Larger than the configured limit."""

    sqlstate = "54000"


class InvalidText(Refusal):
    """Bytes that are not valid UTF-8, or hold a NUL."""

    sqlstate = "22021"


class InvalidAuthorization(Refusal):
    """The login may not connect."""

    sqlstate = "28000"
    severity = "FATAL"


class InvalidPassword(Refusal):
    """The proof of the password was wrong, or the login does not exist: the same answer."""

    sqlstate = "28P01"
    severity = "FATAL"


class UnknownDatabase(Refusal):
    """The database is not one the login may use."""

    sqlstate = "3D000"
    severity = "FATAL"


class TooManyConnections(Refusal):
    """A connection limit is reached, or no server connection became free in time."""

    sqlstate = "53300"


class TooManyAttempts(Refusal):
    """So many wrong proofs came from there that this one was not looked at."""

    sqlstate = "53300"
    severity = "FATAL"


class ConnectionFailure(Refusal):
    """The server cannot be reached, or the connection to it was lost."""

    sqlstate = "08006"


class CannotConnectNow(Refusal):
    """The proxy is starting up or draining."""

    sqlstate = "57P03"
    severity = "FATAL"


class AdminShutdown(Refusal):
    """The proxy is going away; the session ends."""

    sqlstate = "57P01"
    severity = "FATAL"


class QueryCanceled(Refusal):
    """A cancel request or a timeout ended the statement."""

    sqlstate = "57014"


class InternalError(Refusal):
    """A bug. The client sees an id only; the details are in the log under the same id."""

    sqlstate = "XX000"


class ConfigurationError(Exception):
    """Rule files or settings are wrong; `problems` lists all of them as `file:line: text`."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class UnsupportedServer(ConfigurationError):
    """A server whose major version is too old or too new."""

    def __init__(self, problems: list[str], major: int) -> None:
        super().__init__(problems)
        self.major = major
