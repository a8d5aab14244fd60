"""What a blocking generator gives, one step ahead of who takes it: the next is made in a thread meanwhile.

Promises: everything in its order, one element ahead and no more; the generator is closed however it ends. So an
archive is read and unpacked while the server takes the rows that were before.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from typing import TypeVar

T = TypeVar("T")


async def ahead(source: Generator[T]) -> AsyncGenerator[T]:
    """To be closed (contextlib.aclosing). Errors: those of the generator, in their place."""
    coming = asyncio.create_task(asyncio.to_thread(next, source, None))
    try:
        while (found := await asyncio.shield(coming)) is not None:
            coming = asyncio.create_task(asyncio.to_thread(next, source, None))
            yield found
    finally:
        await asyncio.wait([coming])  # a generator that runs cannot be closed
        coming.exception()  # it was told above, or nobody waits for it any more
        source.close()
