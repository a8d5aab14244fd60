"""The Unix socket for clients: where libpq looks, nobody else's, and gone with the listener."""

from __future__ import annotations

import asyncio
import socket
import ssl
import stat
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from proxy.server.listener import Listener
from proxy.server.tls import ServerTls
from proxy.server.unixsocket import UnixSocket, clients_path
from tests.kit.builders import OneTenant, grant, services


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: a Unix socket's may have about a hundred bytes."""
    with TemporaryDirectory(prefix="partywall-") as found:
        yield Path(found)


def test_it_has_the_name_and_the_permissions_of_postgresqls_and_leaves_nothing_behind(folder: Path) -> None:
    made = UnixSocket(clients_path(folder, 6432))
    found = (folder / ".s.PGSQL.6432").stat()
    assert stat.S_ISSOCK(found.st_mode)
    assert stat.S_IMODE(found.st_mode) == 0o777
    assert stat.S_IMODE((folder / ".s.PGSQL.6432.lock").stat().st_mode) == 0o600
    made.close()
    assert list(folder.iterdir()) == []


def test_a_living_proxys_is_not_taken(folder: Path) -> None:
    first = UnixSocket(clients_path(folder, 6432))
    for _ in range(2):  # before it listens, and then
        with pytest.raises(OSError, match="another proxy listens there"):
            UnixSocket(clients_path(folder, 6432))
        first.listening.listen()
    UnixSocket(clients_path(folder, 6433)).close()
    first.close()


def test_one_that_somebody_else_listens_at_is_left_alone_with_its_lock(folder: Path) -> None:
    path, lock = folder / ".s.PGSQL.6432", folder / ".s.PGSQL.6432.lock"
    lock.write_text("1\n", encoding="ascii")
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        with pytest.raises(OSError, match="another process listens there"):
            UnixSocket(clients_path(folder, 6432))
    assert path.is_socket()
    assert lock.read_text(encoding="ascii") == "1\n"


def test_what_a_killed_process_left_is_taken_over(folder: Path) -> None:
    code = (
        "import os, pathlib, signal; from proxy.server.unixsocket import UnixSocket, clients_path;"
        f"made = UnixSocket(clients_path(pathlib.Path({str(folder)!r}), 6432)); made.listening.listen();"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code], check=False, timeout=60)
    assert (folder / ".s.PGSQL.6432").is_socket()
    UnixSocket(clients_path(folder, 6432)).close()


def test_a_file_that_is_no_socket_is_not_removed(folder: Path) -> None:
    (folder / ".s.PGSQL.6432").write_text("precious", encoding="ascii")
    with pytest.raises(OSError):  # noqa: PT011 which of them is the system's choice
        UnixSocket(clients_path(folder, 6432))
    assert (folder / ".s.PGSQL.6432").read_text(encoding="ascii") == "precious"


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_listener_hears_both_and_lets_go_of_both(folder: Path, loop: str) -> None:
    async def main() -> None:
        listener = Listener(services(OneTenant(grant()), None))
        port = await listener.start("127.0.0.1", 0, folder)
        for one in (
            await asyncio.open_unix_connection(f"{folder}/.s.PGSQL.{port}"),
            await asyncio.open_connection("127.0.0.1", port),
        ):
            reader, writer = one
            writer.write(bytes.fromhex("0000000804d2162f"))
            assert await reader.readexactly(1) == b"N"
            writer.close()
        await listener.close()

    with asyncio.Runner(loop_factory=import_module(loop).new_event_loop) as runner:
        runner.run(main())
    assert list(folder.iterdir()) == []


async def test_there_is_no_tls_where_nobody_is_between(folder: Path) -> None:
    context = ServerTls(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), None)
    listener = Listener(services(OneTenant(grant()), None, tls=context))
    port = await listener.start("127.0.0.1", 0, folder)
    reader, writer = await asyncio.open_unix_connection(f"{folder}/.s.PGSQL.{port}")
    writer.write(bytes.fromhex("0000000804d2162f"))
    assert await reader.readexactly(1) == b"N"
    writer.close()
    await listener.close()
