"""Literal lifting: a text's shape, and the constants that were taken out of it, so that one plan serves many texts.

One regular expression cuts the text into tokens; plain integers, decimals and strings become markers. A text with
anything that
would need a real lexer (comments, dollar quotes, backslashes, strings with a prefix) is not lifted: None, and the
exact text is the
key. Two texts of one shape therefore have the same tokens but for these literals. An integer's marker says which of
int4, int8 and
numeric PostgreSQL makes of it, because the tree and the types depend on it. NULL stays in the shape.
Decides nothing about which literals may differ.
Source: PostgreSQL documentation, 4.1 "Lexical Structure".
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# One match is a run of what cannot hold a literal, and then one token. Words, parameters, quoted identifiers and odd
# numbers are matched so that nothing inside them is taken for a literal; what follows each is looked at, so that none
# can end early. (Possessive quantifiers would say so too, but Python gets them wrong before 3.11.5.) A minus belongs to
# the number where it must be a sign (not where it may end an operator's name): PostgreSQL's grammar folds it into the
# constant there. At the end of the text the token is empty.
TOKEN = re.compile(
    rb"""
    (?: [A-Za-z_\x80-\xff][A-Za-z0-9_$\x80-\xff]*(?![A-Za-z0-9_$\x80-\xff]|&?')
      | [ \t\r\n\f(),;=<>+*:\[\]!@#%^&|`?~{}]
      | \$[0-9]+(?![0-9A-Za-z_$\x80-\xff])
      | "[^"]*(?:""[^"]*)*"(?!")
      | /(?!\*)
      | \.(?![0-9])
      | -(?![-0-9])
    )*
    (?: (?P<number>(?:(?:(?<=[=<>*+/(,][ ])|(?<=[(,]))-)?[0-9][0-9A-Za-z_.$\x80-\xff]*)
      | (?P<string>'[^'\\]*(?:''[^'\\]*)*')(?!\s*')
      | (?P<minus>-(?=[0-9]))
      | (?P<end>\Z)
    )?
    """,
    re.VERBOSE,
)
INTEGER = re.compile(rb"-?[0-9]+")
DECIMAL = re.compile(rb"-?[0-9]+\.[0-9]+")
LONGEST = 8192  # bytes; lifting a longer text would hold up everybody else on the loop
SHORT = 10  # characters; fewer are an int4 in any case
INT4 = b"2147483647"
INT8 = b"9223372036854775807"
MARK = re.compile(rb"\x01[iINns]")
MARKS = {"i": b"\x01i", "I": b"\x01I", "N": b"\x01N", "n": b"\x01n", "s": b"\x01s"}


@dataclass(frozen=True, slots=True)
class Lifted:
    """shape: the text with markers; literals: raw tokens in order; offsets: of each in the text, bytes; kinds: i or n
    or s each.
    """

    shape: bytes
    literals: tuple[bytes, ...]
    offsets: tuple[int, ...]
    kinds: str


def lift(text: bytes) -> Lifted | None:
    """The shape of a text; None where only the exact text may be the key."""
    if len(text) > LONGEST:
        return None
    pieces: list[bytes] = []
    literals: list[bytes] = []
    offsets: list[int] = []
    kinds: list[str] = []
    done = 0
    match = TOKEN.match
    at = 0
    while True:
        found = match(text, at)
        name = found.lastgroup if found is not None else None
        if found is None or name is None:
            return None  # something that a real lexer would have to look at
        at = found.end()
        if name == "end":
            break
        if name == "minus":
            continue
        start = found.start(name)
        token = text[start:at]
        if name == "string":
            kind, mark = "s", MARKS["s"]
        elif INTEGER.fullmatch(token):
            width = "i" if len(token) < SHORT else _width(token)
            if width is None:
                return None
            kind, mark = "i", MARKS[width]
        elif DECIMAL.fullmatch(token):
            kind, mark = "n", MARKS["n"]
        else:
            continue
        pieces.append(text[done:start])
        pieces.append(mark)
        literals.append(token)
        offsets.append(start)
        kinds.append(kind)
        done = at
    pieces.append(text[done:])
    return Lifted(b"".join(pieces), tuple(literals), tuple(offsets), "".join(kinds))


def _width(token: bytes) -> str | None:
    """i: int4, I: int8, N: numeric. None for a negative one beyond int4: its type changes at another bound than the
    positives'.
    """
    digits = token.lstrip(b"-0")
    if len(digits) < len(INT4) or (len(digits) == len(INT4) and digits <= INT4):
        return "i"
    if token.startswith(b"-"):
        return None
    return "I" if len(digits) < len(INT8) or (len(digits) == len(INT8) and digits <= INT8) else "N"
