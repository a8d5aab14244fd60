"""LISTEN and UNLISTEN, and the notifications that come of them. No server connection of the session's listens: the
tenant's listening connection does (pool/listening.py), under the hash of each name.

A name counts from the commit of its LISTEN on, to that of its UNLISTEN. Notifications wait until the session is idle
outside a transaction, as at the server; a session's own ones come before the ReadyForQuery of the transaction that
notified: the listening connection is asked once before each. Who notified is told by the number that clients know; it
is asked as well before another session notifies over the same server connection. If it is lost the session ends,
because it may have missed something. Source: PostgreSQL documentation, NOTIFY, LISTEN, UNLISTEN, "Asynchronous
Operations".
"""

from __future__ import annotations

from proxy.backend.state import IDLE, BackendState
from proxy.errors import AdminShutdown, InternalError, RemoteProtocolError
from proxy.session import encode
from proxy.session.actions import HearAll, Subscribe
from proxy.session.conversation import Conversation, Phase, Waiting
from proxy.session.events import Notified, Subscribed
from proxy.sql.plan import UNTRACKED, Answer, AnswerKind, Effects, Forward, Plan, TransactionVerb
from proxy.tenancy.derived import SEED, own_channel
from proxy.wire.backend import NotificationResponse

LISTEN = "listen"  # the reason to pin
LIMIT = 1 << 20  # bytes that wait for a session; one that is in a transaction, or does not read, for longer ends


def listens(s: Conversation, plans: tuple[Plan, ...]) -> bool:
    """Is every channel that these LISTEN to listened to, and what came before their COMMIT told? False: the message
    waits. A refusal is left in s.refusal.
    """
    objects = s.settings.objects
    if objects.channels != objects.heard and not s.caught_up and any(commits(one) for one in plans):
        s.waiting = Waiting.CHANNEL
        s.ticket += 1
        s.port.act(HearAll(s.ticket))
        return False
    for one in plans:
        if not isinstance(one, Answer) or one.answer is not AnswerKind.LISTEN or s.refusal is not None:
            continue
        if s.grant is None:
            raise InternalError("a session without a grant")
        channel = own_channel(one.argument, s.grant.keys[SEED])
        if channel not in s.subscribed:
            s.waiting = Waiting.CHANNEL
            s.ticket += 1
            s.port.act(Subscribe(s.ticket, channel, one.argument))
            return False
    return True


def told(s: Conversation, plans: tuple[Plan, ...]) -> bool:
    """Do these notify nobody over the leased connection, or was everything told that another session notified over it?
    Who notified is known by the connection alone. False: the message waits.
    """
    if not any(notifies(s, one) for one in plans) or not s.port.untold(s.backend().process_id):
        return True
    s.waiting = Waiting.TOLD
    s.ticket += 1
    s.port.act(HearAll(s.ticket))
    return False


def notifies(s: Conversation, plan: Plan) -> bool:
    """Does it, or what it prepares or executes?"""
    if not isinstance(plan, Forward):
        return False
    effects = plan.effects
    inner: Plan | None = None if effects.prepares is None else effects.prepares.plan
    if effects.executes is not None:
        statement = s.statements.get(effects.executes.name.encode())
        inner = None if statement is None else statement.plan
    return effects.notifies or (isinstance(inner, Forward) and inner.effects.notifies)


def commits(plan: Plan) -> bool:
    """Does a LISTEN count from here on?"""
    return isinstance(plan, Forward) and plan.effects.transaction is TransactionVerb.COMMIT


def subscribed(s: Conversation, event: Subscribed) -> None:
    """The listening connection listens to a channel, or did not; one that is not waited for any more is given up."""
    if event.ticket != s.ticket or s.waiting is not Waiting.CHANNEL:
        if event.refusal is None and event.channel not in s.subscribed:
            s.port.unsubscribe((event.channel,))
        return
    s.waiting = Waiting.NOTHING
    if event.refusal is not None:
        s.refusal = event.refusal
        return
    if not s.subscribed:
        s.counters.listening += 1
    s.subscribed[event.channel] = event.name


def settled(s: Conversation) -> None:
    """A transaction ended, and what it changed counts or does not: channels that nobody hears are given up."""
    s.caught_up = False
    heard = s.settings.objects.heard
    gone = [channel for channel, name in s.subscribed.items() if name not in heard]
    for channel in gone:
        del s.subscribed[channel]
    if gone:
        s.port.unsubscribe(tuple(gone))
        if not s.subscribed:
            s.counters.listening -= 1
    s.port.listening(heard)


def committed(s: Conversation) -> None:
    """What was answered without a server connection is committed by that."""
    if s.subscribed:
        s.settings.objects.commit()
        settled(s)


def withhold(s: Conversation) -> None:
    """ReadyForQuery waits until everything that was committed before it has been told."""
    s.waiting = Waiting.HEARD
    s.ticket += 1
    s.port.act(HearAll(s.ticket))


def all_heard(s: Conversation, ticket: int) -> None:
    """It has."""
    if s.waiting is Waiting.CHANNEL and ticket == s.ticket:
        s.waiting = Waiting.NOTHING
        s.caught_up = True
    elif s.waiting is Waiting.TOLD and ticket == s.ticket:
        s.waiting = Waiting.NOTHING
        s.port.notifying(s.backend().process_id)
    elif s.waiting is Waiting.HEARD and ticket == s.ticket:
        s.waiting = Waiting.NOTHING
        deliver(s)
        s.out.append(encode.READY_IDLE)


def notified(s: Conversation, event: Notified) -> None:
    """A notification of a channel that the session subscribed to."""
    name = s.subscribed.get(event.channel)
    objects = s.settings.objects
    if name is None or s.phase is not Phase.READY:
        return
    committing = s.caught_up or s.state is None or s.state.status == IDLE
    if name not in objects.heard and not (committing or event.process_id == s.process_id):
        return  # it came before the LISTEN counts
    s.news.append((name, NotificationResponse(event.process_id, name, event.payload).encode()))
    if sum(len(one) for _, one in s.news) > LIMIT:
        s.fatal(AdminShutdown("terminating connection because too many notifications wait for it"))


def deliver(s: Conversation) -> None:
    """What waits is told, of the channels that count."""
    heard = s.settings.objects.heard
    s.out += [one for name, one in s.news if name in heard]
    s.news.clear()


def deliver_when_idle(s: Conversation) -> None:
    """The end of an event: the session may be idle outside a transaction."""
    if (
        s.phase is Phase.READY
        and s.waiting is Waiting.NOTHING
        and s.message is None
        and s.begun is None
        and not s.skipping
        and s.between
        and s.port.writable
    ):
        deliver(s)


# -- a database of the tenant's own, where a session listens on a connection that it keeps (decision 0051)


def note(s: Conversation, state: BackendState, effects: Effects) -> None:
    """A statement completed: UNLISTEN * outside a block lets the connection go when it has held."""
    if effects.unlistens:
        s.unlistened = state.status == IDLE
    elif effects.transaction is not None or effects.pins == LISTEN:
        s.unlistened = False


def unlistened(s: Conversation) -> None:
    """ReadyForQuery outside a block: an UNLISTEN * that was not rolled back holds."""
    if s.unlistened and not s.failed:
        s.unpin(LISTEN)
    s.unlistened = False


def relayed(s: Conversation, state: BackendState, run: bytes, start: int, end: int) -> bytes:
    """NotificationResponse on the session's connection, which listens there alone."""
    if s.grant is None or s.grant.policy.isolation != "database" or not s.pins & {LISTEN, UNTRACKED}:
        raise RemoteProtocolError("a notification that nobody listens to")
    found = NotificationResponse.decode(run[start + 5 : end])
    own = found.process_id == state.process_id
    process_id = s.process_id if own else s.port.notifier(found.process_id)
    return NotificationResponse(process_id, found.channel, found.payload).encode()
