"""The definitions of what is a tenant's own, in modes schema and database: by pg_dump, in the same snapshot.

Promises: two members, of what is needed before rows can be put back and of what follows them (indexes, constraints,
triggers), and no owners or privileges where `partywall provision` makes them. They are pg_dump's text to the byte, but
for three lines that no tenant can write. The password goes by the environment of that program alone. In row mode the
tables are everybody's, and there is nothing to define.
"""

from __future__ import annotations

import asyncio
import os
import re
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
TIMEOUT = "SET transaction_timeout = 0;"  # which older servers do not know
RESTRICT = "\\restrict "  # for psql, which is not who runs it
# What stands before the first object; nothing of a tenant is in it.
HEAD = re.compile(
    r"|--|-- PostgreSQL database dump|-- Dumped (from|by) .*|\\restrict [A-Za-z0-9]+|SET [a-z_]+ = [A-Za-z0-9']+;"
    r"|SELECT pg_catalog\.set_config\('search_path', '', false\);"
)


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
    return executable(out.decode(), program).encode()


def executable(dumped: str, program: str) -> str:
    """pg_dump's text without psql's line at its head, the one of the same token at its end, and `TIMEOUT` at its head.

    Literals and bodies are a tenant's, and hold such lines, too: of what follows the head all stays. Refused without
    psql's lines: a pg_dump that does not write them lets a newline in an object's name begin a statement
    (CVE-2025-8715).
    """
    lines = dumped.split("\n")  # no other character ends a line of pg_dump's
    first = next((number for number, line in enumerate(lines) if not HEAD.fullmatch(line)), len(lines))
    last = max((number for number, line in enumerate(lines) if line), default=0)
    begun = [line.removeprefix(RESTRICT) for line in lines[:first] if line.startswith(RESTRICT)]
    if len(begun) != 1 or lines[last] != f"\\unrestrict {begun[0]}":
        raise Refused([f"{program} is too old or unknown: 14.19, 15.14, 16.10, 17.6 or any 18 is needed"])
    head = [line for line in lines[:first] if line not in (TIMEOUT, RESTRICT + begun[0])]
    return "\n".join([*head, *lines[first:last], *lines[last + 1 :]])
