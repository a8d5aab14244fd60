"""COPY: megabytes of the client's data a second, through the proxy and without it, and of the scanners alone.

Rows have 10 columns and some 150 bytes; the table is unlogged and has no key, so that the server is as fast as it can be.
`python -m benchmarks.copy` runs this alone.
"""

from __future__ import annotations

import argparse
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg

from benchmarks.targets import PASSWORD, TENANT, Bench, Target, open_bench
from proxy.wire.copyformat import CopyFormat

COLUMNS = ("a", "b", "c", "d", "e", "f", "g", "h", "i", "j")
PIECE = 65_536
ROUNDS = 3

TEXT_ROW = b"%d\t2024-05-05\t\\N\tfourth column of the row\t5.25\tsix\tseventh column here\t8\tthe ninth is the longest column of them all\tten\n"
CSV_ROW = b'%d,2024-05-05,,"fourth column, of the row",5.25,six,"seventh ""column"" here",8,the ninth is the longest of them all,ten\n'
HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)


@dataclass(frozen=True, slots=True)
class Speed:
    """MB (of the client's data) a second. cpu: the same for a second of the proxy's CPU time; peak: KB that the proxy's
    memory grew by; None where there is no proxy.
    """

    what: str
    target: str
    megabytes: float
    cpu: float | None = None
    peak: int | None = None


def text(size: int) -> bytes:
    """About `size` bytes of rows."""
    return b"".join(TEXT_ROW % number for number in range(size // 150))


def csv(size: int) -> bytes:
    """The same, with quotes."""
    return b"".join(CSV_ROW % number for number in range(size // 150))


def binary(size: int) -> bytes:
    """Ten text columns a row."""
    values = [one if one != b"\\N" else None for one in (TEXT_ROW % 7).rstrip(b"\n").split(b"\t")]
    fields = (struct.pack("!i", -1) if one is None else struct.pack("!i", len(one)) + one for one in values)
    return HEADER + (struct.pack("!h", len(values)) + b"".join(fields)) * (size // 150) + b"\xff\xff"


FORMS: dict[str, tuple[Callable[[int], bytes], CopyFormat, str]] = {
    "text": (text, CopyFormat(), "FORMAT text"),
    "CSV": (csv, CopyFormat("csv", b",", markers=(b"",)), "FORMAT csv"),
    "binary": (binary, CopyFormat("binary"), "FORMAT binary"),
}


def scanners(size: int = 8_000_000) -> list[Speed]:
    """The scanners without sockets, in pieces as a socket gives them, and row by row; by CPU time."""
    found = []
    for name, (make, form, _) in FORMS.items():
        data = make(size)
        for what, piece in (("64 KB pieces", PIECE), ("a piece for each row", 150)):
            pieces = [data[at : at + piece] for at in range(0, len(data), piece)]
            best = min(_scanned(form, pieces) for _ in range(ROUNDS))
            found.append(Speed(f"{name}, {what}", "scanner", len(data) / best / 1e6))
    return found


def _scanned(form: CopyFormat, pieces: list[bytes]) -> float:
    rows = form.rows(str(TENANT), "int4", "tenant_id", len(COLUMNS))
    begin = time.process_time()
    for one in pieces:
        rows.feed(one)
    rows.end()
    return time.process_time() - begin


def measure(bench: Bench, megabytes: int) -> list[Speed]:
    """COPY FROM and COPY TO of each format, directly and through Partywall in turn; the best of three rounds."""
    found = []
    for name, (make, _, options) in FORMS.items():
        data = make(megabytes * 1_000_000)
        for what, run in (("FROM", copy_from), ("TO", copy_to)):
            for target in (bench.direct, bench.partywall):
                memory, spent = peak(target), sum(target.cpu_seconds())
                best = max(run(bench, target, data, options) for _ in range(ROUNDS))
                found.append(Speed(f"COPY {what}, {name}", target.name, best))
                if target.pid is not None:
                    spent = max(sum(target.cpu_seconds()) - spent, 0.01)
                    cpu = ROUNDS * len(data) / spent / 1e6
                    found[-1] = replace(found[-1], cpu=cpu, peak=peak(target) - memory)
    return found


def copy_from(bench: Bench, target: Target, data: bytes, options: str) -> float:
    """MB a second into an empty table. Directly the tenant column has a default, so that the data are the same."""
    bench.cluster.psql("bench", f"TRUNCATE bulk; ALTER TABLE bulk ALTER tenant_id SET DEFAULT {TENANT}")
    with connect(target) as connection, connection.cursor() as cursor:
        begin = time.perf_counter()
        with cursor.copy(f"COPY bulk ({', '.join(COLUMNS)}) FROM STDIN ({options})") as copy:
            for at in range(0, len(data), PIECE):
                copy.write(data[at : at + PIECE])
        return len(data) / (time.perf_counter() - begin) / 1e6


def copy_to(bench: Bench, target: Target, data: bytes, options: str) -> float:
    """MB a second of what the last COPY FROM left."""
    total = 0
    with connect(target) as connection, connection.cursor() as cursor:
        begin = time.perf_counter()
        with cursor.copy(f"COPY bulk TO STDOUT ({options})") as copy:
            for piece in copy:
                total += len(piece)
        return total / (time.perf_counter() - begin) / 1e6


def connect(target: Target) -> psycopg.Connection[tuple[object, ...]]:
    """In autocommit, as the target wants it."""
    return psycopg.connect(
        host="127.0.0.1", port=target.port, user=target.user, dbname=target.database, password=PASSWORD, autocommit=True
    )


def peak(target: Target) -> int:
    """KB of memory that the process had at most so far (VmHWM of proc(5)); 0 without a process."""
    if target.pid is None:
        return 0
    lines = Path(f"/proc/{target.pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(one.split()[1]) for one in lines if one.startswith("VmHWM:"))


def table(speeds: list[Speed]) -> list[str]:
    """Markdown."""
    lines = [
        "| what | target | MB/s | ratio to direct | MB for a second of the proxy's CPU | its memory's peak grew by |",
        "|---|---|---|---|---|---|",
    ]
    direct = {one.what: one.megabytes for one in speeds if one.target == "direct"}
    for one in speeds:
        ratio = f"{one.megabytes / direct[one.what]:.2f}" if one.what in direct and one.target != "direct" else ""
        proxy = " | " if one.cpu is None else f"{one.cpu:.0f} | {one.peak} KB"
        lines.append(f"| {one.what} | {one.target} | {one.megabytes:.0f} | {ratio} | {proxy} |")
    return lines


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.copy")
    parser.add_argument("--megabytes", type=int, default=100)
    arguments = parser.parse_args()
    print("\n".join(table(scanners())), flush=True)
    with open_bench(2, 100) as bench:
        print("\n".join(table(measure(bench, arguments.megabytes))))


if __name__ == "__main__":
    main()
