"""What becomes of the rows of a COPY is a value."""

from __future__ import annotations

from proxy.sql.copied import CopyIn, CopyOut, Insertion
from proxy.sql.plan import Template
from proxy.wire.copyfields import Shape
from proxy.wire.copyformat import CopyFormat


def test_equal_values_are_one() -> None:
    insert = Insertion(Template((b"",)), (0,), frozenset({0}), (25,), Shape(("a",)))
    assert hash(CopyIn("t", 1, CopyFormat(), insert=insert)) == hash(CopyIn("t", 1, CopyFormat(), insert=insert))
    assert CopyIn("t", 1, CopyFormat()) != CopyIn("t", 1, CopyFormat(), insert=insert)
    assert CopyOut() == CopyOut()
