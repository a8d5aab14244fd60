"""What one worker tells others, and asks them: cancel requests that are another's, what came of proofs, what is stored.

Both are told beside the work and bounded: strangers can send cancel requests and wrong proofs, and must not make the
workers busy with each other. What does not fit is dropped: a cancel request may be lost as it may on the network, and
a proof still counts where it was weighed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from proxy.fleet.channel import Unanswered, ask
from proxy.fleet.control import Cancel, Proofs, Stored
from proxy.fleet.remote import post
from proxy.server.cancel import place_of

AT_A_TIME = 32  # cancel requests on their way to others
TOGETHER = 0.05  # seconds that proofs are gathered
MOST = 500  # proofs told together
PATIENCE = 10.0  # seconds


class Elsewhere:
    """Of one process. doors: the control doors of all workers of this host; peers: admin addresses by host."""

    def __init__(
        self, host: int, worker: int, doors: tuple[str, ...], peers: Mapping[int, str] = {}, token: str | None = None
    ) -> None:
        self._host = host
        self._worker = worker
        self._doors = doors
        self._peers = peers
        self._token = token
        self._going = 0
        self._proofs: list[tuple[str, str, bool]] = []
        self._telling: asyncio.Task[None] | None = None

    async def cancel(self, process_id: int, secret_key: bytes) -> bool:
        """Passes a cancel request on to whoever gave the process id out; returns when that has dealt with it. True when
        somebody could be asked: whether the key was right is told to nobody.
        """
        host, worker = place_of(process_id)
        request = Cancel(process_id, secret_key.hex())
        if self._going >= AT_A_TIME:
            return False
        self._going += 1
        try:
            if host != self._host:
                url = self._peers.get(host)
                if url is None or self._token is None:
                    return False
                await asyncio.to_thread(post, url, self._token, request, PATIENCE)
                return True
            if worker >= len(self._doors) or worker == self._worker:
                return False
            await ask(self._doors[worker], request, PATIENCE)
            return True
        except (Unanswered, OSError):
            return False
        finally:
            self._going -= 1

    async def stored(self) -> Mapping[str, int] | None:
        """What tenants have stored, by the first worker's count; None: it has not counted yet. Unanswered."""
        answer = await ask(self._doors[0], Stored(), PATIENCE)
        if answer.result is None:
            raise Unanswered("; ".join(answer.problems))
        used: Mapping[str, int] | None = answer.result["used"]
        return used

    def weighed(self, login: str, address: str, right: bool) -> None:
        """A proof was weighed here."""
        if len(self._doors) > 1 and len(self._proofs) < MOST:
            self._proofs.append((login[:MOST], address, right))
            if self._telling is None:
                self._telling = asyncio.create_task(self._tell())

    async def _tell(self) -> None:
        await asyncio.sleep(TOGETHER)
        told, self._proofs, self._telling = Proofs(tuple(self._proofs)), [], None
        others = [door for number, door in enumerate(self._doors) if number != self._worker]
        await asyncio.gather(*(ask(door, told, PATIENCE) for door in others), return_exceptions=True)

    async def close(self) -> None:
        """Tells nobody any more."""
        if self._telling is not None:
            self._telling.cancel()
            await asyncio.gather(self._telling, return_exceptions=True)
