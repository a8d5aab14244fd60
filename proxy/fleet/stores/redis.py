"""RedisStore: the counters of many hosts in Redis or Valkey, one script for each exchange, so that each is atomic.

exchange.lua decides, by the server's own clock; what it writes begins with the prefix and the tenant. One connection,
without hidden retries: a request that has no answer in time ends the connection, and its answer is never read. The
script names keys by what it reads (recalls), which a cluster does not allow: one server, or a primary with replicas.
The URL's secret stands in no message.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from typing import Any

import orjson
from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError

from proxy.quota.exchange import Answer, Request, StoreAway, StoreRefused, Terms

PREFIX = "partywall:"
SCRIPT = (files(__package__) / "exchange.lua").read_bytes()
DIGEST = hashlib.sha1(SCRIPT, usedforsecurity=False).hexdigest()


class RedisStore:
    """A counter store (quota.exchange.CounterStore). ValueError for a URL that is none. now: tests give the time."""

    def __init__(self, url: str, terms: Terms, prefix: str = PREFIX, now: Any = None) -> None:
        self._terms = terms
        self._prefix = prefix
        self._now = now
        self._connections = ConnectionPool.from_url(
            url, socket_connect_timeout=terms.timeout, socket_timeout=None, retry=Retry(NoBackoff(), 0)
        )
        self._connection: AbstractConnection | None = None

    async def connect(self) -> None:
        """Makes the connection, and asks whether somebody answers, unless there is one."""
        if self._connection is None:
            with self._away():
                async with asyncio.timeout(self._terms.timeout):
                    self._connection = self._connections.make_connection()  # type: ignore[no-untyped-call]  # theirs
                    connection: Any = self._connection
                    await connection.connect()
                    await self._run("PING")

    async def exchange(self, request: Request) -> Answer:
        """One round trip."""
        arguments = self._arguments(request)
        with self._away():
            async with asyncio.timeout(self._terms.timeout):
                try:
                    answer = await self._run("EVALSHA", DIGEST, *arguments)
                except NoScriptError:
                    answer = await self._run("EVAL", SCRIPT, *arguments)
            return Answer.of(orjson.loads(answer))

    @contextmanager
    def _away(self) -> Iterator[None]:
        """Whatever fails ends the connection, at once: no answer is read that belongs to another request."""
        try:
            yield
        except BaseException as problem:
            connection, self._connection = self._connection, None
            if connection is not None:
                _cut(connection)
            if isinstance(problem, RedisError | OSError):
                raise (StoreRefused if refused(problem) else StoreAway)(_named(problem)) from None
            if isinstance(problem, KeyError | TypeError | ValueError):
                raise StoreAway("the counter store answers something else") from problem
            raise

    async def _run(self, *command: Any) -> Any:
        connection = self._connection
        if connection is None:
            raise StoreAway("not connected")
        await connection.send_command(*command)
        return await connection.read_response()

    def _arguments(self, request: Request) -> list[Any]:
        prefix, terms = self._prefix, self._terms
        recalls = f"{prefix}/recalls/"
        keys = [f"{prefix}/members", recalls + request.member]
        keys += [f"{prefix}{one.key}:bucket" for one in request.takes]
        keys += [f"{prefix}{one.key}:gauge" for one in request.reports]
        now = "" if self._now is None else repr(self._now())
        times = [repr(terms.quiet), repr(terms.settle)]
        return [len(keys), *keys, orjson.dumps(request.plain()), *times, recalls, now, repr(terms.empty)]

    async def close(self) -> None:
        """Ends the connection; what is asked later opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect(nowait=True)


def _cut(connection: Any) -> None:
    """Ends it without a word."""
    writer = connection._writer  # their disconnect() waits
    if writer is not None:
        writer.transport.abort()
        connection._reader = connection._writer = None


def refused(problem: BaseException) -> bool:
    """Does nobody listen there, at none of its addresses?"""
    text = " ".join(str(one) for one in (problem, problem.__cause__, problem.__context__) if one is not None)
    numbers = re.findall(r"(?:Errno|Error) (\d+)", text)
    return bool(numbers) and set(numbers) <= {str(errno.ECONNREFUSED)}


def _named(problem: BaseException) -> str:
    """What the log may hold: the server's own words could repeat what it was sent."""
    if isinstance(problem, TimeoutError):
        return "no answer in time"
    return type(problem).__name__ if isinstance(problem, RedisError) else str(problem.strerror or problem)  # type: ignore[attr-defined]  # an OSError
