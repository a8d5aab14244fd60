"""The process that reads rules: one question on standard input, and what became of the rules on standard output.

It ends after its answer, and gives way to whoever serves clients. It holds every secret of the rules, as the proxy
does, and writes them nowhere but into its pipe.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from proxy.errors import ConfigurationError
from proxy.fleet.frames import HEADER, framed
from proxy.fleet.pieces import split
from proxy.fleet.tables import read_rules
from proxy.tenancy.read import Spot

YIELDING = 5  # how nice it is to other processes


@dataclass(frozen=True, slots=True)
class ReadRules:
    """The question; as read_rules has it."""

    directory: Path
    environ: Mapping[str, str]
    generation: int
    instead: Mapping[Spot, str] = field(default_factory=dict)


def serve(source: BinaryIO, sink: BinaryIO) -> None:
    """Answers one question: a frame of all problems, and where there are none, the pieces of the book."""
    (length,) = HEADER.unpack(source.read(HEADER.size))
    question: ReadRules = pickle.loads(source.read(length))  # noqa: S301  # our parent's bytes over an inherited pipe
    try:
        book = asyncio.run(read_rules(question.directory, question.environ, question.generation, question.instead))
    except ConfigurationError as error:
        sink.write(framed(pickle.dumps(error.problems)))
    else:
        sink.write(framed(pickle.dumps([])))
        sink.writelines(framed(piece) for piece in split(book))
    sink.flush()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the proxy's business; it closes our pipe
    os.nice(YIELDING)
    serve(sys.stdin.buffer, sys.stdout.buffer)
