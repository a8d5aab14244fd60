"""From the first packet to ReadyForQuery: what is asked for, who asks, and what the client is told of the server.

An unknown login takes the same steps as a wrong password and ends with the same answer. Parameters that the proxy
cannot keep for a client are refused here, never dropped. Source: PostgreSQL documentation, "Start-up", "SASL
Authentication".
"""

from __future__ import annotations

from collections.abc import Mapping

from proxy.auth.scram import MECHANISM, ScramServer
from proxy.errors import (
    FeatureNotSupported,
    InsufficientPrivilege,
    InvalidAuthorization,
    InvalidPassword,
    Refusal,
    RemoteProtocolError,
)
from proxy.session import encode
from proxy.session.actions import (
    CancelBackend,
    CloseFrontend,
    Established,
    FindLogin,
    LearnParameters,
    LeaseBackend,
    LoginRefused,
    StartTls,
)
from proxy.session.conversation import Conversation, Phase, Waiting
from proxy.session.events import LoginFound, TlsStarted
from proxy.session.parameters import Settings, exceeds, quote_value
from proxy.wire.authentication import (
    AuthenticationOk,
    AuthenticationSASL,
    AuthenticationSASLContinue,
    AuthenticationSASLFinal,
)
from proxy.wire.backend import BackendKeyData
from proxy.wire.frontend import SASLInitialResponse, SASLResponse
from proxy.wire.startup import (
    PROTOCOL_3_0,
    CancelRequest,
    GSSENCRequest,
    NegotiateProtocolVersion,
    SSLRequest,
    StartupMessage,
    decode_startup,
)
from proxy.wire.streams import AUTHENTICATION_LIMIT, MESSAGE_LIMIT

OWN = frozenset({"user", "database", "options", "replication", "client_encoding", "search_path"})
UTF8 = frozenset({"utf8", "unicode"})
DEFAULT_PATHS = frozenset({"", "public", '"$user",public', "default"})


def proceed(s: Conversation) -> None:
    """Reads what came, as far as the phase allows."""
    try:
        while True:
            if s.phase is Phase.STARTUP:
                packet = s.frontend.startup()
                if packet is None:
                    return
                _packet(s, packet)
            elif s.phase in {Phase.SASL_INITIAL, Phase.SASL_FINAL}:
                message = s.frontend.message()
                if message is None:
                    return
                if message[0] == ord("X"):
                    s.end()
                    s.port.act(CloseFrontend())
                    return
                if message[0] != ord("p"):
                    raise RemoteProtocolError(f"expected SASL response, got message type {message[0]}")
                _sasl(s, message[1])
            elif s.phase is Phase.TLS and s.frontend.buffered:
                raise RemoteProtocolError("received unencrypted data after SSL request")
            else:
                return
    except Refusal as refusal:
        s.port.act(LoginRefused(refusal))
        s.fatal(refusal)


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
    if packet.version != PROTOCOL_3_0 or unknown:
        s.out.append(NegotiateProtocolVersion(PROTOCOL_3_0, unknown).encode())
    s.user = parameters.get("user", "")
    if not s.user:
        raise InvalidAuthorization("no PostgreSQL user name specified in startup packet")
    s.database = parameters.get("database") or s.user
    s.startup = startup_settings(s, parameters)
    s.application_name = parameters.get("application_name", "")
    s.phase = Phase.LOGIN
    s.frontend.limit = AUTHENTICATION_LIMIT
    s.port.act(FindLogin(s.user, s.database, s.application_name))


def startup_settings(s: Conversation, parameters: Mapping[str, str]) -> dict[str, str]:
    """The settings asked for, by lower-case name, as SQL text. Refusal (FATAL) for what is not to be had."""
    if parameters.get("replication", "false").lower() not in {"false", "off", "no", "0", "f", "n"}:
        raise FeatureNotSupported("replication connections are not supported")
    check_encoding(parameters.get("client_encoding", "UTF8"))
    asked = {name: value for name, value in parameters.items() if name not in OWN}
    asked.update(options(parameters.get("options", "")))
    path = asked.pop("search_path", parameters.get("search_path", ""))
    if path.replace(" ", "").lower() not in DEFAULT_PATHS:
        raise InsufficientPrivilege('permission denied to set parameter "search_path"')
    if "client_encoding" in asked:
        check_encoding(asked.pop("client_encoding"))
    settings = {}
    for name, value in asked.items():
        if not s.port.allowed_setting(name.lower(), value):
            raise InsufficientPrivilege(f'permission denied to set parameter "{name}"')
        settings[name.lower()] = quote_value(value)
    return settings


def check_encoding(name: str) -> None:
    """Clients speak UTF-8 here. SQL_ASCII would let bytes through that the parser reads otherwise than the server."""
    plain = "".join(character for character in name.lower() if character.isalnum())
    if plain not in UTF8:
        raise FeatureNotSupported(f'client_encoding "{name}" is not supported', hint="Use client_encoding=UTF8.")


def options(text: str) -> dict[str, str]:
    """`-c name=value` of the options parameter (postgres.c, process_postgres_switches); anything else is refused."""
    words = split_options(text)
    found = {}
    while words:
        word = words.pop(0)
        if word == "-c" and words:
            word = words.pop(0)
        elif word.startswith("-c") and len(word) > 2:
            word = word[2:]
        else:
            raise InsufficientPrivilege(f'command-line option "{word}" is not permitted')
        name, equals, value = word.partition("=")
        if not equals:
            raise Refusal(f"-c {word} requires a value", sqlstate="42601")
        found[name.replace("-", "_")] = value
    return found


def split_options(text: str) -> list[str]:
    """Words at white space; a backslash keeps the next character (pg_split_opts)."""
    words: list[str] = []
    word: list[str] = []
    escaped = False
    for character in text:
        if escaped:
            word.append(character)
            escaped = False
        elif character == "\\":
            escaped = True
        elif character.isspace():
            if word:
                words.append("".join(word))
                word = []
        else:
            word.append(character)
    if word:
        words.append("".join(word))
    return words


def handle(s: Conversation, event: LoginFound | TlsStarted) -> None:
    """The answers to StartTls and FindLogin."""
    match event:
        case TlsStarted():
            if s.phase is Phase.TLS:
                s.tls = True
                s.phase = Phase.STARTUP
                proceed(s)
        case LoginFound():
            if s.phase is Phase.LOGIN:
                s.login = event
                s.scram = ScramServer(event.verifier, event.nonce)
                s.phase = Phase.SASL_INITIAL
                s.out.append(AuthenticationSASL((MECHANISM,)).encode())
                proceed(s)


def _sasl(s: Conversation, body: bytes) -> None:
    scram, login = s.scram, s.login
    if scram is None or login is None:
        raise RemoteProtocolError("unexpected SASL response")
    if s.phase is Phase.SASL_INITIAL:
        initial = SASLInitialResponse.decode(body)
        if initial.mechanism != MECHANISM:
            raise RemoteProtocolError("client selected an invalid SASL authentication mechanism")
        if initial.data is None:
            raise RemoteProtocolError("an initial SASL response is needed")
        s.out.append(AuthenticationSASLContinue(scram.first(initial.data)).encode())
        s.phase = Phase.SASL_FINAL
        return
    proof = scram.final(SASLResponse.decode(body).data)
    s.scram = None
    if proof is None or (login.grant is None and login.refusal is None):
        raise InvalidPassword(f'password authentication failed for user "{s.user}"')
    s.out.append(AuthenticationSASLFinal(proof).encode())
    s.out.append(AuthenticationOk().encode())
    if login.refusal is not None:
        raise login.refusal
    s.grant = login.grant
    if login.grant is None:
        raise InvalidPassword(f'password authentication failed for user "{s.user}"')
    refusal = s.port.admit(login.grant)
    if refusal is not None:
        raise refusal
    s.limits = login.grant.limits
    s.settings = Settings(with_ceilings(s, s.startup))
    _greet(s)


def with_ceilings(s: Conversation, asked: Mapping[str, str]) -> Mapping[str, str]:
    """The session's defaults: what was asked for, no timeout longer than the tenant's limit."""
    settings = dict(asked)
    ceiling = s.limits.statement_timeout
    if ceiling is not None and ("statement_timeout" not in settings or exceeds(settings["statement_timeout"], ceiling)):
        settings["statement_timeout"] = str(round(ceiling * 1000))
    return settings


def _greet(s: Conversation) -> None:
    """Tells the client what the server is like, from what an earlier session learnt or after asking it."""
    parameters = s.port.parameters(_template(s))
    if parameters is not None:
        _establish(s, parameters)
        return
    s.phase = Phase.LEARN
    lease = s.port.lease_nowait()
    if lease is None:
        s.waiting = Waiting.LEASE
        s.ticket += 1
        s.port.act(LeaseBackend(s.ticket))
        return
    s.adopt(lease)
    s.bring_in_line()
    learnt(s)


def _template(s: Conversation) -> dict[str, str]:
    return {name: value for name, value in s.settings.defaults.items() if name != "application_name"}


def learnt(s: Conversation) -> None:
    """Takes the parameters once the connection has the session's settings."""
    if s.phase is not Phase.LEARN or s.state is None or not s.idle():
        return
    parameters = dict(s.state.parameters)
    s.port.act(LearnParameters(_template(s), parameters))
    _establish(s, parameters)


def _establish(s: Conversation, parameters: Mapping[str, str]) -> None:
    known = dict(parameters)
    known["session_authorization"] = s.user
    known["application_name"] = s.application_name[:63]
    s.known = known
    for name, value in known.items():
        s.out.append(encode.parameter_status(name, value))
    s.out.append(BackendKeyData(s.process_id, s.secret_key).encode())
    s.out.append(encode.READY_IDLE)
    s.phase = Phase.READY
    s.frontend.limit = MESSAGE_LIMIT
    s.port.act(Established())
