"""Rules are read beside the loop: a process of its own parses them, and the book is taken piece by piece.

A thread would hold the interpreter's lock for five milliseconds at a time, in front of every reading and writing of a
socket. Between two pieces the loop serves clients. Nothing is in force before the book is whole.
"""

from __future__ import annotations

import asyncio
import pickle
import sys
from collections.abc import Mapping
from pathlib import Path

from proxy.errors import ConfigurationError
from proxy.fleet.frames import HEADER, framed
from proxy.fleet.pieces import Joiner
from proxy.fleet.reader import ReadRules
from proxy.fleet.tables import AS_THEY_ARE
from proxy.tenancy.read import Spot
from proxy.tenancy.rulebook import RuleBook


async def read_beside(
    directory: Path, environ: Mapping[str, str], before: RuleBook, instead: Mapping[Spot, str] = AS_THEY_ARE
) -> RuleBook:
    """The rules as of now, one generation after `before`, whose equal parts are kept. ConfigurationError with all
    problems, as fleet.tables.read_rules has them; also when the process fails.
    """
    failed = ConfigurationError([f"{directory}: the process that reads the rules failed"])
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "proxy.fleet.reader",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
    except OSError as error:
        raise failed from error
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        question = ReadRules(directory, dict(environ), before.generation + 1, dict(instead))
        process.stdin.write(framed(pickle.dumps(question)))
        await process.stdin.drain()
        problems: list[str] = pickle.loads(await _frame(process.stdout))  # noqa: S301  # our own child's bytes
        if problems:
            raise ConfigurationError(problems)
        joiner = Joiner(before)
        book = None
        while book is None:
            book = joiner.take(await _frame(process.stdout))
            await asyncio.sleep(0)  # what is in the pipe's buffer is read without waiting
        return book
    except (OSError, EOFError) as error:
        raise failed from error
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _frame(stream: asyncio.StreamReader) -> bytes:
    (length,) = HEADER.unpack(await stream.readexactly(HEADER.size))
    return await stream.readexactly(length)
