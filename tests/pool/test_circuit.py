"""The circuit: growing pauses, failures together counted once, the server's own words meanwhile."""

from __future__ import annotations

import asyncio
import ssl

import pytest

from proxy.errors import ConnectionFailure, Refusal
from proxy.pool.circuit import FORGOTTEN, Circuit, Circuits, is_everybodys
from proxy.wire.handshake import HandshakeRefused
from proxy.wire.report import ErrorResponse

REFUSED = ConnectionFailure("could not connect to the server")


def fail(circuit: Circuit, times: int) -> list[float]:
    """The delays after so many failures, none of which was under way together with another."""
    delays = []
    for _ in range(times):
        circuit.cancel()
        circuit.trip(REFUSED)
        delays.append(circuit.delay)
    return delays


async def test_each_failure_doubles_the_pause_up_to_five_seconds() -> None:
    circuit = Circuit(lambda: None)
    assert circuit.delay == 0.0
    assert fail(circuit, 8) == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    assert fail(circuit, 2000)[-1] == 5.0  # and no overflow after a night of failures
    circuit.cancel()


async def test_failures_that_were_under_way_together_count_once() -> None:
    circuit = Circuit(lambda: None)
    for _ in range(5):
        circuit.trip(REFUSED)
    assert (circuit.failures, circuit.delay) == (1, 0.1)
    circuit.cancel()


async def test_the_retry_comes_once_the_pause_is_over_and_the_longer_pause_later() -> None:
    order: list[str] = []
    done = asyncio.Event()

    def retry() -> None:
        order.append("longer")
        done.set()

    longer, shorter = Circuit(retry), Circuit(lambda: order.append("shorter"))
    fail(longer, 2)
    shorter.trip(REFUSED)
    async with asyncio.timeout(20):
        await done.wait()
    assert order == ["shorter", "longer"]
    shorter.trip(REFUSED)  # after its retry the next failure is a new one
    assert shorter.failures == 2
    shorter.cancel()


async def test_a_cancelled_circuit_never_retries() -> None:
    called: list[str] = []
    done = asyncio.Event()
    first, second = Circuit(lambda: called.append("first")), Circuit(done.set)
    first.trip(REFUSED)
    first.cancel()
    fail(second, 2)  # due after the first would have been
    async with asyncio.timeout(20):
        await done.wait()
    assert called == []


async def test_those_who_ask_meanwhile_hear_the_last_sqlstate_or_08006() -> None:
    circuit = Circuit(lambda: None)
    assert circuit.refusal().sqlstate == "08006"
    circuit.trip(REFUSED)
    circuit.trip(Refusal("the database system is starting up", sqlstate="57P03"))
    refusal = circuit.refusal()
    assert (refusal.sqlstate, refusal.message) == ("57P03", "the database system is starting up")
    circuit.cancel()


async def test_circuits_are_of_their_keys_and_mended_alone() -> None:
    tried: list[object] = []
    circuits = Circuits(tried.append)
    circuits.trip("site", REFUSED)
    circuits.trip("share", Refusal("no", sqlstate="53300"))
    assert circuits.refusal("share").sqlstate == "53300"
    assert circuits.mend("share")
    assert not circuits.mend("share")
    assert circuits.refusal("share").sqlstate == "08006"  # of what never failed, or is well again
    async with asyncio.timeout(20):
        while not tried:  # noqa: ASYNC110 - a timer of its own is waited for
            await asyncio.sleep(0.01)
    assert tried == ["site"]
    assert len(circuits) == 1  # it may be tried, and its pauses go on growing
    circuits.cancel()


async def test_a_circuit_that_nobody_trips_for_a_minute_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    over = asyncio.Event()
    circuits = Circuits(lambda _: over.set())
    circuits.trip("site", REFUSED)
    monkeypatch.setattr("proxy.pool.circuit.FORGOTTEN", -1.0)
    assert circuits.forget() == []  # it has not been tried again yet
    async with asyncio.timeout(20):
        await over.wait()
    monkeypatch.setattr("proxy.pool.circuit.FORGOTTEN", FORGOTTEN)
    assert circuits.forget() == []
    monkeypatch.setattr("proxy.pool.circuit.FORGOTTEN", -1.0)
    assert circuits.forget() == ["site"]
    assert len(circuits) == 0


def caused(cause: BaseException | None) -> ConnectionFailure:
    error = ConnectionFailure("could not connect to the server")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "everybodys"),
    [
        (caused(ConnectionRefusedError()), True),
        (caused(TimeoutError()), True),
        (OSError(), True),
        (caused(ssl.SSLError()), False),  # whose certificate is believed is for each to say
        (caused(None), False),
        (caused(HandshakeRefused(ErrorResponse({"C": "57P03"}))), True),
        (caused(HandshakeRefused(ErrorResponse({"C": "28P01"}))), False),
        (caused(HandshakeRefused(ErrorResponse({"C": "53300"}))), False),
    ],
)
def test_what_is_the_servers_own_is_everybodys_and_nothing_else_is(error: BaseException, everybodys: bool) -> None:
    assert is_everybodys(error) is everybodys
