"""A place of the sent text is one of the client's, whatever literals and keys stand in either; or it is not told."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from proxy.sql.lift import Lifted, lift
from proxy.sql.plan import Forward, KeyHole, LiteralHole, StatementKind, Template
from proxy.sql.positions import client_position, pack
from proxy.sql.render import fill

CLIENT = "select ä, b from t where c = {} and d = {}"
TEMPLATE = Template(
    ("SELECT ä, b FROM public.t WHERE k = ".encode(), b" AND c = ", b" AND d = ", b""),
    (KeyHole("default"), LiteralHole(0, "i"), LiteralHole(1, "s")),
)


def offset(text: bytes, what: str, nth: int = 0) -> int:
    at = -1
    for _ in range(nth + 1):
        at = text.index(what.encode(), at + 1)
    return at


def planned(first: int, second: str, key: str) -> tuple[Forward, bytes, Lifted]:
    """The plan as it was made of a text with these literals."""
    text = CLIENT.format(first, f"'{second}'").encode()
    lifted = lift(text)
    assert lifted is not None
    sent = fill(TEMPLATE, {"default": key}, lifted.literals)
    holes, at = [], 0
    for piece, hole in zip(TEMPLATE.pieces, TEMPLATE.holes, strict=False):
        at += len(piece)
        value = fill(Template((b"", b""), (hole,)), {"default": key}, lifted.literals)
        holes.append((at, len(value)))
        at += len(value)
    pairs = [
        (offset(sent, "ä"), offset(text, "ä")),
        (offset(sent, "b"), offset(text, "b")),
        (offset(sent, " c ") + 1, offset(text, " c ") + 1),
        (offset(sent, " d ") + 1, offset(text, " d ") + 1),
        (holes[2][0], offset(text, f"'{second}'")),
    ]
    return Forward(StatementKind.SELECT, TEMPLATE, positions=pack(pairs, holes, lifted)), text, lifted


LITERALS = st.tuples(st.integers(0, 2**31 - 1), st.text("abcé", max_size=9), st.text("kü'", max_size=9))


@given(LITERALS, LITERALS)
def test_a_plan_of_one_text_points_right_in_another(made: tuple[int, str, str], used: tuple[int, str, str]) -> None:
    plan, _, _ = planned(*made)
    _, text, lifted = planned(*used)
    keys = {"default": used[2]}
    sent = fill(plan.template, keys, lifted.literals).decode()
    for what in ("ä", "b FROM", "c = ", "d = "):
        position = client_position(str(sent.index(f" {what}") + 2), plan, keys, lifted, text)
        assert position == str(text.decode().index(f" {what.replace('FROM', 'from')}") + 2)
    last = sent.rindex(" ") + 1 if " " not in used[1] else 0
    assert client_position(str(last + 1), plan, keys, lifted, text) == str(
        text.decode().rindex("'" + used[1] + "'") + 1
    )


def test_a_place_that_was_not_paired_is_not_told() -> None:
    plan, text, lifted = planned(1, "x", "7")
    keys = {"default": "7"}
    sent = fill(plan.template, keys, lifted.literals).decode()
    told = [at for at in range(len(sent)) if client_position(str(at + 1), plan, keys, lifted, text) is not None]
    assert [sent[at : at + 3].strip() for at in told] == ["ä,", "b F", "c =", "d =", "'x'"]
    for odd in ("", "x", "-1", "99999"):
        assert client_position(odd, plan, keys, lifted, text) is None
    assert client_position("30", plan, {}, lifted, text) is None
    assert client_position("30", plan, keys, None, text) is None
    assert client_position("1", Forward(StatementKind.SELECT, TEMPLATE), keys, lifted, text) is None


def test_a_place_that_was_paired_with_two_is_not_told() -> None:
    template = Template((b"SELECT a",))
    plan = Forward(StatementKind.SELECT, template, positions=pack([(7, 8), (7, 9)], (), None))
    assert client_position("8", plan, {}, None, b"SELECT  (a)") is None
    plan = Forward(StatementKind.SELECT, template, positions=pack([(7, 9), (7, 9)], (), None))
    assert client_position("8", plan, {}, None, b"SELECT  (a)") == "10"
