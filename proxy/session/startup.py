"""From the first packet to the log-in: encryption, cancel requests, the version of the protocol, who asks for what.

Order is the whole of it: what comes before its turn ends the connection. Parameters that the proxy cannot keep for a
client are refused (options.py); who it is shows login.py. Source: PostgreSQL documentation, "Start-up".
"""

from __future__ import annotations

from collections.abc import Callable

from proxy.errors import InvalidAuthorization, Refusal, RemoteProtocolError
from proxy.session import login, token
from proxy.session.actions import CancelBackend, CloseFrontend, FindLogin, LoginRefused, StartTls
from proxy.session.conversation import Conversation, Phase
from proxy.session.events import ClientAdmitted, LoginFound, ProofWeighed, TlsStarted
from proxy.session.options import startup_settings
from proxy.wire.startup import (
    NEWEST,
    PROTOCOL_3_2,
    SHORT_KEY,
    CancelRequest,
    GSSENCRequest,
    NegotiateProtocolVersion,
    SSLRequest,
    StartupMessage,
    decode_startup,
)
from proxy.wire.streams import AUTHENTICATION_LIMIT

ALPN = "postgresql"
HANDSHAKE = 0x16  # the type of the record that a TLS client sends first
PROVING = frozenset({Phase.SASL_INITIAL, Phase.SASL_FINAL, *token.PHASES})


def proceed(s: Conversation) -> None:
    """Reads what came, as far as the phase allows."""
    try:
        while True:
            if s.phase is Phase.STARTUP:
                if s.frontend.first == HANDSHAKE and not s.tls:
                    _direct(s)
                    return
                packet = s.frontend.startup()
                if packet is None:
                    return
                _packet(s, packet)
            elif s.phase in PROVING:
                message = s.frontend.message()
                if message is None:
                    return
                if message[0] == ord("X"):
                    s.end()
                    s.port.act(CloseFrontend())
                    return
                if message[0] != ord("p"):
                    raise RemoteProtocolError(f"expected SASL response, got message type {message[0]}")
                login.answered(s, message[1])
            elif s.phase is Phase.TLS and s.frontend.buffered:
                raise RemoteProtocolError("received unencrypted data after SSL request")
            else:
                return
    except Refusal as refusal:
        _refuse(s, refusal)


def _refuse(s: Conversation, refusal: Refusal) -> None:
    s.port.act(LoginRefused(refusal, s.why))
    s.fatal(refusal)


def _direct(s: Conversation) -> None:
    """A client that begins with TLS at once. Without TLS here nobody can tell it anything in words that it knows."""
    if not s.tls_available:
        _unheard(s, "direct TLS where there is no certificate")
        return
    s.direct = True
    s.phase = Phase.TLS
    s.port.act(StartTls(s.frontend.take()))


def _unheard(s: Conversation, reason: str) -> None:
    """Ends it without a word, which the peer would not understand."""
    s.port.act(LoginRefused(RemoteProtocolError(reason)))
    s.end()
    s.port.act(CloseFrontend())


def _trying(s: Conversation, step: Callable[[], None]) -> None:
    try:
        step()
    except Refusal as refusal:
        _refuse(s, refusal)


def _packet(s: Conversation, body: bytes) -> None:
    packet = decode_startup(body)
    match packet:
        case SSLRequest() | GSSENCRequest():
            if s.frontend.buffered:  # sent before the answer: not to be trusted behind an encryption handshake
                raise RemoteProtocolError("received unencrypted data after SSL request")
            s.requests += 1
            if s.requests > 2:
                raise RemoteProtocolError("unsupported frontend protocol: negotiation was asked for again")
            if isinstance(packet, SSLRequest) and s.tls_available and not s.tls:
                s.phase = Phase.TLS
                s.out.append(b"S")
                s.flush()
                s.port.act(StartTls())
            else:
                s.out.append(b"N")
        case CancelRequest():
            s.phase = Phase.CLOSED
            s.port.act(CancelBackend(packet.process_id, packet.secret_key))
        case StartupMessage():
            _startup(s, packet)


def _startup(s: Conversation, packet: StartupMessage) -> None:
    parameters = dict(packet.parameters)
    unknown = tuple(name for name in parameters if name.startswith("_pq_."))
    for name in unknown:
        del parameters[name]
    version = min(packet.version, NEWEST)
    if packet.version > NEWEST or unknown:
        s.out.append(NegotiateProtocolVersion(version, unknown).encode())
    if version < PROTOCOL_3_2:
        s.secret_key = s.secret_key[:SHORT_KEY]
    s.user = parameters.get("user", "")
    if not s.user:
        raise InvalidAuthorization("no PostgreSQL user name specified in startup packet")
    s.database = parameters.get("database") or s.user
    s.requested = startup_settings(parameters)
    s.application_name = parameters.get("application_name", "")
    s.phase = Phase.LOGIN
    s.frontend.limit = AUTHENTICATION_LIMIT
    s.port.act(FindLogin(s.user, s.database, s.application_name))


def handle(s: Conversation, event: LoginFound | ProofWeighed | ClientAdmitted | TlsStarted) -> None:
    """The answers to StartTls, FindLogin, WeighProof and AwaitAdmission."""
    match event:
        case TlsStarted():
            if s.phase is Phase.TLS:
                s.tls = True
                s.binding = event.binding
                if s.direct and event.alpn != ALPN:  # another protocol's client, sent here by somebody else
                    _unheard(s, "direct TLS without ALPN")
                    return
                s.phase = Phase.STARTUP
                proceed(s)
        case LoginFound():
            if s.phase is Phase.LOGIN:
                _trying(s, lambda: login.found(s, event))
                proceed(s)
        case ProofWeighed():
            if s.phase is Phase.PROOF:
                _trying(s, lambda: login.weighed(s, event))
                proceed(s)
        case ClientAdmitted():
            if s.phase is Phase.ADMISSION:
                _trying(s, lambda: login.admitted(s, event.refusal))
                proceed(s)
