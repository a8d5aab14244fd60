"""The short way: the reads that nearly all traffic is made of, sent and answered without an object for each message.

From the client: one read that is exactly a Query, or Parse (unnamed) Bind Describe? Execute Sync, or Bind Describe?
Execute Sync of what is prepared on the connection already, with the unnamed portal and no row limit; its plan is cached
and `plain`. From the server: one read that is exactly the whole reply. What is sent is what the general way (query.py,
extended.py) would send, and all state is shared. Anything else goes the general way; `unfold` puts what is under way
into the queue of due replies as the general way would have it there. tests/session/test_short.py holds the two against
each other.
"""

from __future__ import annotations

from struct import Struct, unpack_from

from proxy.backend.state import IDLE, IN_TRANSACTION
from proxy.session import stale
from proxy.session.conversation import Conversation, Under
from proxy.session.due import BIND, DESCRIBE, EXECUTE, PARSE, QUERY, SYNC, UNDER, Due
from proxy.session.encode import BIND_COMPLETE, PARSE_COMPLETE, parse, query
from proxy.session.ports import Link
from proxy.session.query import fence
from proxy.session.replies import ready
from proxy.session.statements import Portal, Statement
from proxy.sql.plan import Forward, Plan
from proxy.wire.framing import ROWS_OR_NONE, length_at, whole_reply

_HEADER = Struct(">BI")  # type byte and length
_QUERY, _PARSE, _BIND = b"QPB"
_DESCRIBE = b"D\0\0\0\6P\0"  # of the unnamed portal
_EXECUTE = b"E\0\0\0\x09\0\0\0\0\0S\0\0\0\4"  # of the unnamed portal, all rows; and Sync
_SHORTEST = 5 + 1 + 1 + len(_EXECUTE)  # of a batch: Bind with empty names
_REMEMBERED = 4096  # bytes of a Parse; a longer one is looked up each time
_BOTH_COMPLETE = PARSE_COMPLETE + BIND_COMPLETE

_SENT = Due(UNDER)
_SYNCED = Due(SYNC)


def send(s: Conversation, data: bytes) -> bool:
    """The client's read, when nothing waits and nothing is due. False: nothing was done but perhaps leasing."""
    tag = data[0]
    if tag == _BIND:
        return _bind(s, data)
    if tag == _QUERY:
        return _query(s, data)
    return tag == _PARSE and _parse(s, data)


def _query(s: Conversation, data: bytes) -> bool:
    size = len(data)
    if size <= 5 or _HEADER.unpack_from(data)[1] != size - 1 or data[-1]:
        return False
    text = data[5:-1]
    planned = s.port.lookup(text)
    if planned is None or len(planned.plans) != 1:
        return False
    plan = planned.plans[0]
    if type(plan) is not Forward or not plan.plain:
        return False
    if not plan.quiet and s.grant is not None and s.grant.lazy_begin:
        return False
    link = _leased(s, plan)
    if link is None:
        return False
    if s.statements:
        s.statements.pop(b"", None)  # a simple query ends the unnamed statement
    link.state.unnamed = None
    s.counters.plans[planned.cache] += 1
    _send(s, link, query(s.port.fill(plan, planned.literals, text)), (b"", ROWS_OR_NONE, plan, text, None, None))
    return True


def _parse(s: Conversation, data: bytes) -> bool:
    size = len(data)
    start = 1 + length_at(data, 1) if size > 5 else size  # of Bind
    described = _described(data, start)
    if described is None or data[5] or data[start + 6]:  # the unnamed statement only
        return False
    s.port.follow()
    previous = statement = s.statements.get(b"")
    current = s.settings.current  # replaced whole when one changes; the search path decides what names mean
    known = statement is not None and statement.epoch is s.epoch and statement.settings is current
    if statement is not None and known and statement.asked and data.startswith(statement.asked):
        plan: Plan = statement.plan
        cache = "l1"
    else:
        end = data.find(0, 6, start)
        if end < 0 or end + 3 > start:
            return False
        count = data[end + 1] << 8 | data[end + 2]
        if count > 0x7FFF or end + 3 + 4 * count != start:
            return False
        types: tuple[int, ...] = unpack_from(f">{count}I", data, end + 3) if count else ()
        text = data[6:end]
        planned = s.port.lookup(text, types, True)
        if planned is None:
            return False
        plan, cache = planned.plans[0], planned.cache
        if type(plan) is not Forward or not plan.plain:
            return False
        sql = s.port.fill(plan, planned.literals, text)
        statement = Statement(text, types, plan, sql, s.epoch, None, planned.literals, s.reading)
        statement.sent = parse(b"", sql, types)
        if start <= _REMEMBERED:
            statement.asked, statement.settings = data[:start], current
    link = _leased(s, plan) if type(plan) is Forward else None
    if link is None or type(plan) is not Forward:
        return False
    s.statements[b""] = statement
    link.state.unnamed = statement.key
    s.counters.plans[cache] += 1
    under = (_BOTH_COMPLETE, described, plan, statement.text, statement, previous)
    _send(s, link, statement.sent + data[start:], under)
    return True


def _bind(s: Conversation, data: bytes) -> bool:
    described = _described(data, 0)
    if described is None:
        return False
    end = data.find(0, 6)
    name = data[6:end]
    s.port.follow()
    statement = s.statements.get(name)
    if statement is None or statement.epoch is not s.epoch:
        return False
    plan = statement.plan
    if type(plan) is not Forward or not plan.plain or statement.paid:
        return False
    link = _leased(s, plan)
    if link is None:
        return False
    under = (BIND_COMPLETE, described, plan, statement.text, statement, None)
    s.read = data if name else b""
    if name:
        upstream = link.state.name_of(statement.key)
        if upstream is None:
            return _withdrawn(s, plan)
        head = _HEADER.pack(_BIND, length_at(data, 1) + len(upstream) - len(name))
        _send(s, link, b"%b\0%b%b" % (head, upstream, data[end:]), under)
    elif link.state.unnamed == statement.key:
        _send(s, link, data, under)
    else:
        return _withdrawn(s, plan)
    return True


def _described(data: bytes, start: int) -> bool | None:
    """Does `data`, from `start` on, ask for the description of its rows? None where it is not Bind, of the unnamed
    portal, Describe?, Execute and Sync to its end."""
    end = len(data) - len(_EXECUTE)
    if start + 7 > end or not data.endswith(_EXECUTE):
        return None
    tag, length = _HEADER.unpack_from(data, start)
    stop = start + 1 + length
    if tag != _BIND or data[start + 5] or data.find(0, start + 6, stop) < 0:
        return None
    if stop == end:
        return False
    return True if stop + len(_DESCRIBE) == end and data.startswith(_DESCRIBE, stop) else None


def _leased(s: Conversation, plan: Forward) -> Link | None:
    """The connection that the session has or gets at once, if its budget admits the statement; None also when it has to
    be brought in line first. Then nothing is taken of the budget.
    """
    s.started = now = s.clock()
    budget = s.budget
    if budget is not None:
        if not budget.admit(plan.counted, now):
            return None
        s.entered = budget.gauges[plan.counted]
    link = s.link
    if link is None:
        lease = s.port.lease_nowait()
        if lease is None:
            _withdrawn(s, plan)
            return None
        s.adopt(lease)
        link = lease.connection
    state, current = link.state, s.settings.current
    if state.settings is not current:
        if state.settings != current:
            _withdrawn(s, plan)
            return None
        state.settings = current
    return link


def _withdrawn(s: Conversation, plan: Forward) -> bool:
    if s.budget is not None:
        s.entered = ()
        s.budget.withdraw(plan.counted, s.started)
    return False


def _send(s: Conversation, link: Link, data: bytes, under: Under) -> None:
    plan = under[2]
    counters = s.counters
    counters.forwarded[plan.kind] = counters.forwarded.get(plan.kind, 0) + 1
    if plan.rewritten:
        counters.rewritten += 1
    s.turns += 1
    s.due.append(_SENT)
    s.under = under
    link.write(data)
    if not plan.quiet:
        unfold(s)


def answered(s: Conversation, data: bytes) -> bool:
    """The server's read, when what is due was sent the short way. False: nothing was done."""
    under, state, lease = s.under, s.state, s.lease
    if under is None or state is None or lease is None or not s.stream.whole:
        return False
    rows = whole_reply(data, under[0], under[1])
    if rows < 0 or (s.result.bounded and not s.result.fits(rows, len(data))):
        return False
    status = data[-1]
    if status == IDLE and state.status == IDLE:
        if not (s.pins or s.held or s.portals or s.fenced or s.settings.savepoints or state.tainted is not None):
            s.under = s.lease = s.link = s.state = s.settings.state = None
            s.due.clear()
            counters, now = s.counters, s.clock()
            elapsed = now - s.started
            s.rows += rows
            s.sent += len(data)
            counters.rows += rows
            counters.bytes_out += len(data)
            counters.server += elapsed
            counters.observe(elapsed)
            if s.budget is not None:
                s.budget.at = now
                if s.entered:
                    s.depart()
            s.port.write(data)
            s.port.release(lease, False, False)
            return True
    elif status not in (IDLE, IN_TRANSACTION):
        return False
    _bound(s)
    s.rows += rows
    s.counters.rows += rows
    s.under = None
    s.busy = s.started
    s.due.clear()
    s.due.append(_SYNCED)
    ready(s, state, data, len(data) - 6, len(data))
    s.out.append(data)
    s.result.answered()
    return True


def unfold(s: Conversation) -> None:
    """What is under way, as the general way has it."""
    under, due = s.under, s.due
    if under is None:
        return
    _bound(s)
    s.under = None
    s.busy = s.started
    due.clear()
    lead, described, plan, text, statement, previous = under
    s.result.sent(plan)
    if lead is _BOTH_COMPLETE:
        s.opened[b""] = s.pipeline
    s.pipeline += 1
    if statement is None:
        due.append(Due(QUERY, True, plan, (plan,), text))
        return
    if lead is _BOTH_COMPLETE:
        defining = Due(PARSE, plan=plan, text=text)
        defining.name, defining.previous = b"", previous
        due.append(defining)
    binding = Due(BIND, plan=plan, text=text)
    due.append(binding)
    if lead is BIND_COMPLETE and s.read:
        binding.key = statement.key
        _remember(s, statement)
    if described:
        due.append(Due(DESCRIBE, plan=plan, text=text))
    due.append(Due(EXECUTE, plan=plan, text=text))
    due.append(Due(SYNC))


def _remember(s: Conversation, statement: Statement) -> None:
    data, s.read = s.read, b""
    messages = []
    at = 0
    while at < len(data):
        tag, length = _HEADER.unpack_from(data, at)
        messages.append((tag, data[at + 5 : at + 1 + length]))
        at += 1 + length
    stale.begin(s, statement.key, messages[0])
    for one in messages[1:]:
        if s.batch is not None:
            stale.add(s, s.batch, one)


def _bound(s: Conversation) -> None:
    under, state, settings = s.under, s.state, s.settings
    if under is None or state is None:
        return
    if settings.state is None:
        settings.begin(state)
    statement = under[4]
    if statement is not None:
        fence(s, "", under[2])
        s.portals[b""] = Portal(statement, counted=under[2].counted)
