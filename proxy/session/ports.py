"""What a session asks of those around it, as protocols: a server connection, its lease, and the door to the client.

Everything here answers at once. What takes time is an action (actions.py). Tests put recorders behind these protocols.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from proxy.backend.state import BackendState
from proxy.errors import Refusal
from proxy.session.actions import Action
from proxy.sql.plan import Forward, Planned, Temporary
from proxy.tenancy.policy import Grant


class Later:
    """Not decided yet."""


LATER = Later()


class Link(Protocol):
    """One server connection (pool.connection.ServerConnection)."""

    state: BackendState
    receiver: Any  # gets backend_data(bytes), backend_lost(reason), backend_writable(bool)

    def write(self, data: bytes) -> None: ...


class Lease(Protocol):
    """A server connection lent to this session (pool.pools.Lease)."""

    @property
    def connection(self) -> Link: ...


class Port(Protocol):
    """The server's side of one client connection."""

    def write(self, data: bytes) -> None:
        """Bytes for the client."""

    def lookup(self, text: bytes, parameter_types: tuple[int, ...] = (), extended: bool = False) -> Planned | None:
        """The plans of a text that is in the cache, for this session's context as of now."""

    def follow(self) -> None:
        """Between transactions: the rules and the catalog in force from here on. When they are others, or have no place
        for it, changes the session's epoch and forgets what was planned for what waits; lookup() does the same."""

    def lease_nowait(self) -> Lease | None:
        """An idle server connection of this tenant, or None."""

    def release(self, lease: Lease, destroy: bool, cancel: bool) -> None:
        """The lease ends. destroy: close the connection; cancel: what runs on it is cancelled first."""

    def act(self, action: Action) -> None:
        """Do it, and answer later with an event."""

    def answer(self, fields: dict[str, str], plan: Forward | None, text: bytes) -> dict[str, str]:
        """The fields of a server's error or notice that the client may see."""

    def know(self, temporary: tuple[Temporary, ...]) -> None:
        """The session's temporary tables as of now: what is planned from here on may name them."""

    def missing(self, name: str, kind: str, direct: bool) -> Refusal | None:
        """What the server says of a name that is cast to the type `kind` if it is absent, also where it is hidden; None
        where the tenant sees it. direct: it is no text before."""

    def allowed_setting(self, name: str, value: str) -> bool:
        """May a client that was let in have this setting?"""

    def parameters(self, settings: Mapping[str, str]) -> Mapping[str, str] | None:
        """What the server reports under these settings, if some session learnt it already."""

    def admit(self, grant: Grant) -> Refusal | Later | None:
        """The proof was right: counts the session in, or says why not; or that AwaitAdmission must be asked for."""

    def listening(self, names: tuple[str, ...]) -> None:
        """The channels that fill() puts into a text from now on."""

    def notifying(self, process_id: int) -> None:
        """This session notifies from the server's process of that number."""

    def untold(self, process_id: int) -> bool:
        """Did another session notify last from that process, so that the tenant's listeners may yet hear of it?"""

    def notifier(self, process_id: int) -> int:
        """The virtual process id of the session that notified last from that process of the server's."""

    def unsubscribe(self, channels: tuple[str, ...]) -> None:
        """The listening connection tells nothing more of these channels."""

    @property
    def label(self) -> str:
        """What stands before the session's application_name at the server; "" for nothing."""

    @property
    def writable(self) -> bool:
        """Does the client read fast enough?"""

    def version(self) -> int:
        """Another number after every change of the schema that is known of, for as long as this process lives."""

    def altered(self) -> None:
        """A statement of this session may have changed the schema."""

    def fill(self, plan: Forward, literals: tuple[bytes, ...], text: bytes) -> bytes:
        """The text of a plan with this tenant's keys; `text` is the client's."""
