"""ListeningClient: what a client's session hears through its tenant's listening connection, and by whom it is heard.

The session decides what counts and when it is told; here its questions go to the listening connection, and what that
tells comes back as events. Process ids of the server are told to nobody. Decision 0045.
"""

from __future__ import annotations

from contextlib import suppress

from proxy.errors import AdminShutdown, ConnectionFailure, InvalidAuthorization, Refusal
from proxy.server.permits import PermittedClient
from proxy.session.actions import HearAll, Subscribe
from proxy.session.events import Heard, Notified, Subscribed, Terminate
from proxy.tenancy.derived import LISTENING, array_literal
from proxy.wire.backend import NotificationResponse

UNKNOWN_PROCESS = 2**31 - 1  # who notified is not a session of this process: no process id of the server is told


class ListeningClient(PermittedClient):
    """The part of the session's Port that is about notifications, and the listening connection's subscriber."""

    def listening(self, names: tuple[str, ...]) -> None:
        """The channels that fill() puts into a text from now on."""
        if self.keys is not None:
            self.keys = {**self.keys, LISTENING: array_literal(names)}

    def notifying(self, process_id: int) -> None:
        """This session notifies from the server's process of that number."""
        if self.grant is not None:
            self.listener.note_notifier((self.grant.server, self.grant.tenant, process_id), self.process_id)

    def untold(self, process_id: int) -> bool:
        """Did another session notify last from that process, so that the tenant's listeners may yet hear of it?"""
        grant = self.grant
        if grant is None or self.notifier(process_id) in (self.process_id, UNKNOWN_PROCESS):
            return False
        return self.services.listening.listens(grant)

    def notifier(self, process_id: int) -> int:
        """The virtual process id of the session that notified last from that process."""
        if self.grant is None:
            return UNKNOWN_PROCESS
        return self.listener.notifiers.get((self.grant.server, self.grant.tenant, process_id), UNKNOWN_PROCESS)

    def unsubscribe(self, channels: tuple[str, ...]) -> None:
        """The listening connection tells nothing more of these channels."""
        if self.grant is not None:
            self.services.listening.unsubscribe(self.grant, self, channels)

    @property
    def writable(self) -> bool:
        """Does the client read fast enough?"""
        return self.flow is None or self.flow.writable

    def notified(self, notification: NotificationResponse) -> None:
        """A notification of a channel of the session's."""
        sender = self.notifier(notification.process_id)
        self.handle(Notified(notification.channel, notification.payload, sender))

    def deafened(self) -> None:
        """Notifications may have been missed: the client must connect again, and look for itself."""
        text = "terminating connection because the server connection that listened was lost"
        self.handle(Terminate(AdminShutdown(text)))

    async def hear(self, action: Subscribe | HearAll) -> None:
        """Does what the session asks of the listening connection."""
        await (self.subscribe(action) if isinstance(action, Subscribe) else self.hear_all(action.ticket))

    async def subscribe(self, action: Subscribe) -> None:
        """Has a channel listened to."""
        refusal, grant, listening = None, self.grant, self.services.listening
        try:
            if grant is None:
                raise InvalidAuthorization("not logged in")
            await listening.wait_subscribed(grant, self, action.channel)
            if self.grant is None or self.grant.place != grant.place:  # it was canceled, and has moved since
                listening.unsubscribe(grant, self, (action.channel,))
                return  # the session would give up what it listens to where it is now
        except Refusal as problem:
            refusal = problem
        self.handle(Subscribed(action.ticket, action.channel, action.name, refusal))

    async def hear_all(self, ticket: int) -> None:
        """Has everything told that was committed until now."""
        if self.grant is not None:
            with suppress(ConnectionFailure):  # who listened was told, and has ended: nobody hears anything more
                await self.services.listening.wait_heard(self.grant)
        self.handle(Heard(ticket))
