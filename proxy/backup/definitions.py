"""The definitions of what is a tenant's own, in modes schema and database: by pg_dump, in the same snapshot.

Promises: two members, of what is needed before rows can be put back and of what follows them (indexes, constraints,
triggers), and no owners or privileges where `partywall provision` makes them. The password goes by the environment of
that program alone. In row mode the tables are everybody's, and there is nothing to define.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from proxy.backup.archive import Sink, packed
from proxy.backup.refusal import Refused
from proxy.tenancy.policy import Grant
from proxy.tenancy.servers import Place

if TYPE_CHECKING:
    from proxy.backup.manifest import Member
    from proxy.backup.snapshot import Snapshot

SECTIONS = ("pre-data", "post-data")
# Lines for psql, which is not who runs it, and a setting that older servers do not know.
LEFT_OUT = ("\\restrict ", "\\unrestrict ", "SET transaction_timeout ")


async def definitions(
    place: Place, grant: Grant, snapshot: Snapshot, sink: Sink, program: str = "pg_dump"
) -> tuple[Member, ...]:
    """Puts them into `sink`. program: pg_dump of the server's major version or a newer one."""
    if grant.policy.isolation in ("row", "rls"):
        return ()
    found = []
    for section in SECTIONS:
        plain = await _dumped(place, grant, snapshot.id, section, program)
        member, stored = packed(f"definitions/{section}.sql.zst", plain, rows=False)
        await asyncio.to_thread(sink.add, member.name, stored)
        found.append(member)
    return tuple(found)


def arguments(place: Place, grant: Grant, snapshot: str, section: str) -> list[str]:
    """Of pg_dump."""
    server, _ = place
    given = ["--host", ",".join(host for host, _ in server.addresses)]
    given += ["--port", ",".join(str(port) for _, port in server.addresses)]
    given += ["--username", server.role, "--dbname", server.database, "--no-password"]
    given += ["--encoding", "UTF8", "--section", section, "--snapshot", snapshot]
    if grant.policy.isolation == "schema":
        given += ["--no-owner", "--no-privileges", "--schema", pattern(grant.policy.schema)]
    else:
        given += ["--exclude-schema", pattern("partywall")]
    return given


def pattern(name: str) -> str:
    """A name that pg_dump takes as it stands."""
    return '"' + name.replace('"', '""') + '"'


def environment(place: Place, given: Mapping[str, str]) -> dict[str, str]:
    """Nothing of the operator's own libpq settings, and how to reach this server."""
    _, credentials = place
    own = {
        "PGPASSWORD": credentials.password,
        "PGSSLMODE": credentials.tls,
        "PGSSLROOTCERT": credentials.root_certificate,
        "PGSSLCERT": credentials.certificate,
        "PGSSLKEY": credentials.key,
    }
    others = {name: value for name, value in given.items() if not name.startswith("PG")}
    return others | {name: value for name, value in own.items() if value is not None}


async def _dumped(place: Place, grant: Grant, snapshot: str, section: str, program: str) -> bytes:
    try:
        process = await asyncio.create_subprocess_exec(
            program,
            *arguments(place, grant, snapshot, section),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment(place, os.environ),
        )
    except FileNotFoundError:
        raise Refused([f"{program} is missing, which a tenant with definitions of its own needs (--pg-dump)"]) from None
    try:
        out, err = await process.communicate()
    except BaseException:
        process.kill()
        await process.wait()
        raise
    if process.returncode:
        raise Refused([f"{program}: {line}" for line in err.decode(errors="replace").splitlines() if line])
    kept = [line for line in out.decode().splitlines(keepends=True) if not line.startswith(LEFT_OUT)]
    return "".join(kept).encode()
