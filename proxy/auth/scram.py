"""SCRAM-SHA-256 and SCRAM-SHA-256-PLUS in both roles, and the verifier that stands in for a password.

The server role knows verifiers only, and treats a login that does not exist like one whose password is wrong: the same
messages, the same work, the same end. The client role believes no server that cannot prove that it knows the password.
Both notice when somebody between them takes the offer of channel binding away. Nonces, secrets and bindings
(binding.py) are arguments; bytes in, bytes out; derived keys may be kept by the caller. Source: RFC 5802, RFC 5929,
RFC 7677, and PostgreSQL's src/backend/libpq/auth-scram.c for what it is strict about.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import pbkdf2_hmac, sha256
from hmac import compare_digest
from hmac import digest as _hmac

from proxy.auth.saslprep import saslprep
from proxy.errors import InvalidAuthorization, RemoteProtocolError

MECHANISM = "SCRAM-SHA-256"
PLUS = "SCRAM-SHA-256-PLUS"  # with channel binding
BOUND = b"p=tls-server-end-point"
ITERATIONS = 4096
MAX_ITERATIONS = 1_000_000  # a server asking for more would only burn our time

SaltedPasswords = MutableMapping[tuple[bytes, bytes, int], bytes]
"""(prepared password, salt, iterations) -> SaltedPassword, so that thousands of rounds are done once per server."""


def _hash(data: bytes) -> bytes:
    return sha256(data).digest()


def _mac(key: bytes, data: bytes) -> bytes:
    return _hmac(key, data, "sha256")


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes([a ^ b for a, b in zip(left, right, strict=True)])


def _base64(data: bytes) -> bytes:
    try:
        decoded = b64decode(data, validate=True)
    except binascii.Error:
        raise ValueError("not base64") from None
    if b64encode(decoded) != data:  # unused bits that are set: a second spelling of the same bytes
        raise ValueError("not base64")
    return decoded


def _salt(password: bytes, salt: bytes, iterations: int) -> bytes:
    return pbkdf2_hmac("sha256", password, salt, iterations)


@dataclass(frozen=True, slots=True)
class Verifier:
    """What is stored for a login: enough to check a proof, not to make one.

    also: the keys (StoredKey, ServerKey) of a second password with the same salt and iterations: only what is in the
    challenge can be answered, so no other can be there. mock: nothing passes, whatever is proved.
    """

    iterations: int
    salt: bytes
    stored_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)
    mock: bool = False
    also: tuple[tuple[bytes, bytes], ...] = field(default=(), repr=False)

    def text(self) -> str:
        """The form of pg_authid: SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey, in base64."""
        salt, stored, server = (b64encode(part).decode() for part in (self.salt, self.stored_key, self.server_key))
        return f"{MECHANISM}${self.iterations}:{salt}${stored}:{server}"


def parse_verifier(text: str) -> Verifier:
    """The verifier with this stored form; ValueError when it is not one. The error never quotes the text."""
    try:
        mechanism, parameters, keys = text.split("$")
        iterations, salt = parameters.split(":")
        stored_key, server_key = (_base64(key.encode()) for key in keys.split(":"))
        verifier = Verifier(int(iterations), _base64(salt.encode()), stored_key, server_key)
    except ValueError:
        raise ValueError("not a SCRAM-SHA-256 verifier") from None
    formed = mechanism == MECHANISM and verifier.salt and len(stored_key) == len(server_key) == 32
    if not formed or str(verifier.iterations) != iterations or not 1 <= verifier.iterations <= MAX_ITERATIONS:
        raise ValueError("not a SCRAM-SHA-256 verifier")
    return verifier


def both(first: Verifier, second: Verifier) -> Verifier:
    """A verifier that takes either password; ValueError unless salt and iterations are the same."""
    if (first.salt, first.iterations) != (second.salt, second.iterations):
        raise ValueError("two verifiers of different salts or iterations cannot both be asked for")
    return replace(first, also=(*first.also, (second.stored_key, second.server_key)))


def build_verifier(password: str, salt: bytes, iterations: int = ITERATIONS) -> str:
    """The stored form for a password. salt: 16 random bytes. Takes milliseconds: it is meant to."""
    salted = _salt(saslprep(password.encode()), salt, iterations)
    stored_key = _hash(_mac(salted, b"Client Key"))
    return Verifier(iterations, salt, stored_key, _mac(salted, b"Server Key")).text()


def mock_verifier(secret: bytes, name: str, iterations: int = ITERATIONS) -> Verifier:
    """What an unknown login is shown: a salt that depends on the name and stays over restarts, and keys of nobody."""
    salt = _mac(secret, name.encode())[:16]
    return Verifier(iterations, salt, _mac(secret, salt), _mac(secret, salt + b"\0"), mock=True)


def _attribute(part: bytes, letter: bytes) -> bytes:
    if part[:2] != letter + b"=":
        raise RemoteProtocolError("malformed SCRAM message", detail=f'Expected attribute "{letter.decode()}".')
    return part[2:]


def _printable(nonce: bytes) -> bytes:
    if not nonce or any(byte < 0x21 or byte > 0x7E or byte == 0x2C for byte in nonce):
        raise RemoteProtocolError("non-printable characters in SCRAM nonce")
    return nonce


class ScramServer:
    """One exchange in the server's role: `first`, then `final`, once each, in this order."""

    __slots__ = ("_auth_message", "_binding", "_input", "_nonce", "_verifier")

    def __init__(self, verifier: Verifier, nonce: bytes, binding: bytes | None = None) -> None:
        """nonce: at least 18 random bytes in base64, never used before. binding: of the connection's certificate; None
        where there is no TLS, or no binding is defined for it.
        """
        self._verifier = verifier
        self._nonce = _printable(nonce)
        self._binding = binding
        self._input = b""  # what the client is bound to: its GS2 header, and the binding if it asked for one
        self._auth_message = b""

    @property
    def mechanisms(self) -> tuple[str, ...]:
        """What is offered, the favourite first."""
        return (MECHANISM,) if self._binding is None else (PLUS, MECHANISM)

    def first(self, message: bytes, mechanism: str = MECHANISM) -> bytes:
        """The challenge to a client-first-message; the name in it is ignored, for the startup packet's counts.

        RemoteProtocolError (08P01, 0A000) for what is malformed or asks for what is not spoken here;
        InvalidAuthorization for a client that was not told of the channel binding that was offered.
        """
        if mechanism not in self.mechanisms:
            raise RemoteProtocolError("client selected an invalid SASL authentication mechanism")
        flag, comma, rest = message.partition(b",")
        binding = self._flag(flag if comma else b"", mechanism)
        identity, comma, bare = rest.partition(b",")
        if identity:
            raise RemoteProtocolError("client uses authorization identity, but it is not supported", sqlstate="0A000")
        if bare[:2] == b"m=":
            raise RemoteProtocolError("client requires an unsupported SCRAM extension", sqlstate="0A000")
        parts = bare.split(b",")
        if not comma or len(parts) < 2:
            raise RemoteProtocolError("malformed SCRAM message", detail="The message is too short.")
        _attribute(parts[0], b"n")
        self._nonce = _printable(_attribute(parts[1], b"r")) + self._nonce
        self._input = flag + b",," + binding
        challenge = b"r=%b,s=%b,i=%d" % (self._nonce, b64encode(self._verifier.salt), self._verifier.iterations)
        self._auth_message = bare + b"," + challenge
        return challenge

    def _flag(self, flag: bytes, mechanism: str) -> bytes:
        """The binding that a client's channel-binding flag asks for."""
        if flag[:2] == b"p=":
            if mechanism != PLUS or self._binding is None:
                raise RemoteProtocolError(
                    "malformed SCRAM message",
                    detail="The client selected SCRAM-SHA-256 without channel binding, "
                    "but the SCRAM message includes channel binding data.",
                )
            if flag != BOUND:
                kind = flag[2:].decode("ascii", "replace")
                raise RemoteProtocolError(f'unsupported SCRAM channel-binding type "{kind}"')
            return self._binding
        if flag not in {b"n", b"y"}:
            raise RemoteProtocolError("malformed SCRAM message", detail="Unexpected channel-binding flag.")
        if mechanism == PLUS:
            raise RemoteProtocolError(
                "malformed SCRAM message",
                detail="The client selected SCRAM-SHA-256-PLUS, "
                "but the SCRAM message does not include channel binding data.",
            )
        if flag == b"y" and self._binding is not None:  # somebody between took the offer away
            raise InvalidAuthorization(
                "SCRAM channel binding negotiation error",
                detail="The client supports SCRAM channel binding but thinks the server does not.  "
                "However, this server does support channel binding.",
            )
        return b""

    def final(self, message: bytes) -> bytes | None:
        """The outcome for a client-final-message: the server's own proof, or None when the client did not know.

        RemoteProtocolError for what is malformed or answers another challenge. A mock verifier takes the same way.
        """
        if not self._auth_message:
            raise RemoteProtocolError("unexpected SCRAM response")
        bare, _, proof_part = message.rpartition(b",")
        parts = bare.split(b",")
        if len(parts) < 2 or not compare_digest(_attribute(parts[0], b"c"), b64encode(self._input)):
            if self._input.startswith(BOUND):
                raise InvalidAuthorization("SCRAM channel binding check failed")
            raise RemoteProtocolError("unexpected SCRAM channel-binding attribute in client-final-message")
        if not compare_digest(_attribute(parts[1], b"r"), self._nonce):
            raise RemoteProtocolError("invalid SCRAM response", detail="Nonce does not match.")
        try:
            proof = _base64(_attribute(proof_part, b"p"))
        except ValueError:
            proof = b""
        if len(proof) != 32:
            raise RemoteProtocolError("malformed SCRAM message", detail="Malformed proof in client-final-message.")
        auth_message = self._auth_message + b"," + bare
        self._auth_message = b""
        verifier = self._verifier
        outcome = None
        for stored_key, server_key in ((verifier.stored_key, verifier.server_key), *verifier.also):
            client_key = _xor(proof, _mac(stored_key, auth_message))
            known = compare_digest(_hash(client_key), stored_key)
            signature = b"v=" + b64encode(_mac(server_key, auth_message))
            if known and not verifier.mock:
                outcome = signature
        return outcome


class ScramClient:
    """One exchange in the client's role: `first`, `final`, `verify`, once each, in this order."""

    __slots__ = ("_bare", "_binding", "_cache", "_header", "_nonce", "_password", "_signature", "mechanism")

    def __init__(
        self,
        password: str,
        nonce: bytes,
        cache: SaltedPasswords | None = None,
        *,
        binding: bytes | None = None,
        offered: Sequence[str] = (MECHANISM,),
    ) -> None:
        """nonce: at least 18 random bytes in base64, never used before. cache: keeps what is slow to derive. binding:
        of the connection's certificate, if there is one to be had. offered: by the server, MECHANISM among them or
        PLUS.
        """
        bound = binding is not None and PLUS in offered
        self.mechanism = PLUS if bound else MECHANISM
        self._header = (BOUND if bound else b"n" if binding is None else b"y") + b",,"
        self._binding = binding if bound and binding is not None else b""
        self._password = saslprep(password.encode())
        self._nonce = _printable(nonce)
        self._cache = {} if cache is None else cache
        self._bare = b"n=,r=" + self._nonce
        self._signature = b""

    def first(self) -> bytes:
        """The client-first-message. The name is empty: a server of PostgreSQL takes that of the startup packet."""
        return self._header + self._bare

    def final(self, challenge: bytes) -> bytes:
        """The proof for a server-first-message; RemoteProtocolError when that is malformed or not about our nonce."""
        parts = challenge.split(b",")
        if len(parts) < 3:
            raise RemoteProtocolError("malformed SCRAM message", detail="The message is too short.")
        nonce = _printable(_attribute(parts[0], b"r"))
        if not nonce.startswith(self._nonce) or len(nonce) == len(self._nonce):
            raise RemoteProtocolError("invalid SCRAM response", detail="Nonce does not match.")
        count = _attribute(parts[2], b"i")
        if not count.isdigit() or len(count) > 7 or not 1 <= int(count) <= MAX_ITERATIONS:
            raise RemoteProtocolError("malformed SCRAM message", detail="Invalid iteration count.")
        try:
            salt = _base64(_attribute(parts[1], b"s"))
        except ValueError:
            salt = b""
        if not salt:
            raise RemoteProtocolError("malformed SCRAM message", detail="Invalid salt.")
        salted = self._salted(salt, int(count))
        without_proof = b"c=" + b64encode(self._header + self._binding) + b",r=" + nonce
        auth_message = b",".join((self._bare, challenge, without_proof))
        client_key = _mac(salted, b"Client Key")
        proof = _xor(client_key, _mac(_hash(client_key), auth_message))
        self._signature = _mac(_mac(salted, b"Server Key"), auth_message)
        return without_proof + b",p=" + b64encode(proof)

    def _salted(self, salt: bytes, iterations: int) -> bytes:
        key = (self._password, salt, iterations)
        salted = self._cache.get(key)
        if salted is None:
            salted = self._cache[key] = _salt(self._password, salt, iterations)
        return salted

    def verify(self, outcome: bytes) -> None:
        """Believes a server-final-message or raises RemoteProtocolError: the server did not know the password."""
        part = outcome.partition(b",")[0]
        if part[:2] == b"e=":
            raise RemoteProtocolError("the server reported an error in the SCRAM exchange")
        try:
            signature = _base64(_attribute(part, b"v"))
        except ValueError:
            signature = b""
        if not self._signature or not compare_digest(signature, self._signature):
            raise RemoteProtocolError("incorrect server signature")
        self._signature = b""
