"""What a startup packet asks for beside a name: settings, `options`, the client's encoding.

What the proxy cannot keep for a client is refused here, never dropped. Source: PostgreSQL documentation, "Start-up"
(StartupMessage's parameters) and postgres.c for the words of `options`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from proxy.errors import FeatureNotSupported, InsufficientPrivilege, Refusal
from proxy.session.conversation import Conversation
from proxy.session.parameters import quote_value

OWN = frozenset({"user", "database", "options", "replication", "client_encoding"})
SEPARATED = re.compile(r'\s*"(?:[^"]|"")*"|[^,"]+')
UTF8 = frozenset({"utf8", "unicode"})
DEFAULT_PATHS = frozenset({"", "public", '"$user",public', "default"})


def startup_settings(parameters: Mapping[str, str]) -> dict[str, str]:
    """The settings asked for, by lower-case name, as they were written. Refusal (FATAL) for what nobody is given."""
    if parameters.get("replication", "false").lower() not in {"false", "off", "no", "0", "f", "n"}:
        raise FeatureNotSupported("replication connections are not supported")
    check_encoding(parameters.get("client_encoding", "UTF8"))
    asked = {name.lower(): value for name, value in parameters.items() if name not in OWN}
    asked.update((name.lower(), value) for name, value in options(parameters.get("options", "")).items())
    if "client_encoding" in asked:
        check_encoding(asked.pop("client_encoding"))
    return asked


def permitted(s: Conversation, asked: Mapping[str, str]) -> dict[str, str]:
    """The settings asked for as SQL text. Refusal (FATAL) for what the tenant that was let in may not have."""
    settings = {}
    for name, value in asked.items():
        if name == "search_path" and value.replace(" ", "").lower() in DEFAULT_PATHS:
            continue
        if not s.port.allowed_setting(name, value):
            raise InsufficientPrivilege(f'permission denied to set parameter "{name}"')
        settings[name] = path(value) if name == "search_path" else quote_value(value)
    return settings


def path(value: str) -> str:
    """A list of schemas as SET reads it (SplitIdentifierString in utils/adt/varlena.c)."""
    names = [one.strip() for one in SEPARATED.findall(value)]
    plain = [one[1:-1].replace('""', '"') if one[:1] == '"' else one.lower() for one in names if one]
    return ", ".join(quote_value(one) for one in plain) or "''"


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
