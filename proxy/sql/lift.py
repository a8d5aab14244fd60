"""Literal lifting: a text's shape, and the constants that were taken out of it, so that one plan serves many texts.

One regular expression cuts the text into tokens; plain integers, decimals, strings, and the words true and false where
a text has them, become markers. A text with anything that
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
from typing import NamedTuple

# One match is a run of what cannot hold a literal, and then one token. Words, parameters, quoted identifiers and odd
# numbers are matched so that nothing inside them is taken for a literal; what follows each is looked at, so that none
# can end early. (Possessive quantifiers would say so too, but Python gets them wrong before 3.11.5.) A minus belongs to
# the number where it must be a sign (not where it may end an operator's name): PostgreSQL's grammar folds it into the
# constant there. From where a real lexer would be needed the rest is swallowed, in no group.
_TOKEN = rb"""
    ((?: {word}[A-Za-z_\x80-\xff][A-Za-z0-9_$\x80-\xff]*(?![A-Za-z0-9_$\x80-\xff]|&?')[ ]*
      | [ \t\r\n\f(),;=<>+*:\[\]!@#%^&|`?~{}]+
      | \$[0-9]+(?![0-9A-Za-z_$\x80-\xff])
      | "[^"]*(?:""[^"]*)*"(?!")
      | /(?!\*)
      | \.(?![0-9])
      | -(?![-0-9])
    )*)
    (?:
      ( (?:(?:(?<=[=<>*+/(,][ ])|(?<=[(,]))-)?[0-9][0-9A-Za-z_.$\x80-\xff]*
      | '[^'\\]*(?:''[^'\\]*)*'(?!\s*')
      | -(?=[0-9])
      {boolean}
      )
    | (?s:.*)
    )
"""
_BOOLEAN = rb"(?:true|false|TRUE|FALSE)(?![A-Za-z0-9_$\x80-\xff]|&?')"
TOKEN = re.compile(_TOKEN.replace(b"{word}", b"").replace(b"{boolean}", b""), re.VERBOSE)
# The same for a text that has such a word: to look for it at every word would cost all others a tenth of their time.
TOKEN_OR_BOOLEAN = re.compile(
    _TOKEN.replace(b"{word}", b"(?!" + _BOOLEAN + b")").replace(b"{boolean}", b"| " + _BOOLEAN),
    re.VERBOSE,
)
BOOLEANS = frozenset({b"true", b"false", b"TRUE", b"FALSE"})
INTEGER = re.compile(rb"-?[0-9]+")
DECIMAL = re.compile(rb"-?[0-9]+\.[0-9]+")
LONGEST = 8192  # bytes; lifting a longer text would hold up everybody else on the loop
SHORT = 10  # characters; fewer are an int4 in any case
INT4 = b"2147483647"
INT8 = b"9223372036854775807"
MARK = re.compile(rb"\x01[iINnsb]")
INT4_MARK, INT8_MARK, NUMERIC_MARK, DECIMAL_MARK, STRING_MARK = b"\x01i", b"\x01I", b"\x01N", b"\x01n", b"\x01s"
BOOLEAN_MARK = b"\x01b"
QUOTE = ord("'")


class Lifted(NamedTuple):
    """shape: the text with markers; literals: raw tokens in order; offsets: of each in the text, bytes; kinds: i or n
    or s or b each.
    """

    shape: bytes
    literals: tuple[bytes, ...]
    offsets: tuple[int, ...]
    kinds: str


def lift(text: bytes, *, limited: bool = True) -> Lifted | None:
    """The shape of a text; None where only the exact text may be the key. Not `limited`: however long it is."""
    if limited and len(text) > LONGEST:
        return None
    pieces: list[bytes] = []
    literals: list[bytes] = []
    offsets: list[int] = []
    kinds = ""
    at = 0
    worded = b"true" in text or b"false" in text or b"TRUE" in text or b"FALSE" in text
    for skipped, token in (TOKEN_OR_BOOLEAN if worded else TOKEN).findall(text):
        pieces.append(skipped)
        at += len(skipped)
        if not token:
            continue
        if token.isdigit() and len(token) < SHORT:
            kind, mark = "i", INT4_MARK
        elif token[0] == QUOTE:
            kind, mark = "s", STRING_MARK
        elif INTEGER.fullmatch(token):
            width = _width(token)
            if width is None:
                return None
            kind, mark = "i", width
        elif DECIMAL.fullmatch(token):
            kind, mark = "n", DECIMAL_MARK
        elif token in BOOLEANS:
            kind, mark = "b", BOOLEAN_MARK
        else:
            pieces.append(token)
            at += len(token)
            continue
        pieces.append(mark)
        literals.append(token)
        offsets.append(at)
        kinds += kind
        at += len(token)
    if at != len(text):
        return None  # a rest was swallowed
    return Lifted(b"".join(pieces), tuple(literals), tuple(offsets), kinds)


def pieces_of(text: bytes, lifted: Lifted) -> tuple[bytes, ...] | None:
    """What lies between the numbers, for lift_like; None when there is none or a literal is neither a short unsigned
    integer nor a boolean, which is part of a piece.
    """
    pieces = []
    done = 0
    for literal, at in zip(lifted.literals, lifted.offsets, strict=True):
        if literal in BOOLEANS:
            continue
        if not literal.isdigit() or len(literal) >= SHORT:
            return None
        pieces.append(text[done:at])
        done = at + len(literal)
    pieces.append(text[done:])
    return tuple(pieces) if len(pieces) > 1 else None


def lift_like(
    text: bytes, pieces: tuple[bytes, ...], booleans: tuple[tuple[int, bytes], ...] = ()
) -> tuple[bytes, ...] | None:
    """The literals of a text that is `pieces` with short unsigned integers between them; None for any other text.
    booleans: those in the pieces, with their places among the literals.

    `pieces`: what lift() left between such literals in another text. What it made of a piece, and where it ended the
    number before, depends on nothing but the piece's bytes and that digits stand around it: so both texts are of one
    shape.
    """
    at = len(pieces[0])
    if not text.startswith(pieces[0]) or not text.endswith(pieces[-1]):
        return None
    literals = []
    for piece in pieces[1:-1]:
        end = text.find(piece, at)
        literals.append(text[at:end] if end >= 0 else b"")
        at = end + len(piece)
    literals.append(text[at : len(text) - len(pieces[-1])])
    for literal in literals:
        if not literal.isdigit() or len(literal) >= SHORT:
            return None
    for number, word in booleans:
        literals.insert(number, word)
    return tuple(literals)


def booleans_of(lifted: Lifted) -> tuple[tuple[int, bytes], ...]:
    """The booleans among the literals, for lift_like."""
    if "b" not in lifted.kinds:
        return ()
    return tuple((number, one) for number, one in enumerate(lifted.literals) if lifted.kinds[number] == "b")


def _width(token: bytes) -> bytes | None:
    """The mark of int4, int8 or numeric. None for a negative one beyond int4: its type changes at another bound than
    the positives'.
    """
    digits = token.lstrip(b"-0")
    if len(digits) < len(INT4) or (len(digits) == len(INT4) and digits <= INT4):
        return INT4_MARK
    if token.startswith(b"-"):
        return None
    fits = len(digits) < len(INT8) or (len(digits) == len(INT8) and digits <= INT8)
    return INT8_MARK if fits else NUMERIC_MARK
