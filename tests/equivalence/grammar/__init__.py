"""A generator of random statements over the sample set: typed, so that most of them run; seeded, so that each can be had
again; every production named and counted.
"""

from tests.equivalence.grammar.statement import Statement, generate

__all__ = ["Statement", "generate"]
