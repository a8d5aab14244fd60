"""The scheduled archives of one tenant at one place: which there are, which of them count, and their end.

Promises: only what has this program's name and this program's readback note is ever removed, and the archive before
its note. A folder whose fixed part is not there is an error and never an empty one: a disk may not be mounted.
Blocking: call it from a thread or a process of its own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proxy.backup.bases import bases_of
from proxy.backup.labels import READBACK, Label, label_of, root_of, standing
from proxy.backup.manifest import MANIFEST
from proxy.backup.places import busy, system_of
from proxy.backup.readback import Readback, decode
from proxy.backup.refusal import Refused
from proxy.errors import ConfigurationError

OBJECTS = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl"})  # have no folders to be made


@dataclass(frozen=True, slots=True)
class Archive:
    """One that is there. path: as the file system calls it; readback None: it has no note that is ours."""

    label: Label
    path: str
    url: str
    size: int
    readback: Readback | None

    @property
    def verified(self) -> bool:
        """Was it read back whole, and is it as long as it was then?"""
        return self.readback is not None and self.readback.verified is not None and self.readback.size == self.size

    @property
    def moment(self) -> float:
        """Of which its rows are; if nobody knows, when it was begun."""
        known = None if self.readback is None else self.readback.moment
        return float(self.label.begun) if known is None else known


class Inventory:
    """Of one tenant on one database. to: as in its rule."""

    def __init__(self, to: str, tenant: str, database: str) -> None:
        self._to = to
        self._tenant = tenant
        self._database = database
        self._local = "://" not in to
        root, self._deep = root_of(to, tenant, database)
        with _reached(to):
            self._system, self._root = system_of(root)

    def archives(self) -> list[Archive]:
        """All that have a name of ours, the newest first. Refused when the place cannot be reached."""
        return list(self._found())

    def newest(self, now: float) -> Archive | None:
        """The newest that counts, and is of no time to come."""
        return next((one for one in self._found() if one.verified and one.label.begun <= now), None)

    def _there(self) -> dict[str, Any]:
        if self._local and not Path(standing(self._to)).is_dir():
            raise Refused([f"{standing(self._to)} is not there: make the folder, or mount its disk"])
        with _reached(self._to):
            found: dict[str, Any] = self._system.find(self._root, maxdepth=None if self._deep else 1, detail=True)
        return found

    def _found(self) -> Iterator[Archive]:
        there = self._there()
        labels = {
            path: label
            for path in there
            if (label := label_of(path.rpartition("/")[2], self._tenant, self._database)) is not None
        }
        for path, label in sorted(labels.items(), key=lambda pair: pair[1].begun, reverse=True):
            readback = self._readback(f"{path}{READBACK}") if f"{path}{READBACK}" in there else None
            mine = readback if readback is not None and readback.fits(label) else None
            yield Archive(label, path, self._url(path), there[path]["size"] or 0, mine)

    def orphans(self) -> list[tuple[Label, str]]:
        """Readback notes whose archive is not there, and where they are: of one that is being written, or never was."""
        there = self._there()
        found = []
        for path in there:
            name = path.rpartition("/")[2].removesuffix(READBACK)
            label = label_of(name, self._tenant, self._database)
            if path.endswith(READBACK) and label is not None and path.removesuffix(READBACK) not in there:
                readback = self._readback(path)
                if readback is not None and readback.fits(label):
                    found.append((label, path))
        return found

    def needed(self) -> frozenset[str]:
        """The names of archives on which others at this place build, as far as that can be told: none of an object
        store, where each would have to be fetched, and none by one that is sealed.
        """
        if not self._local:
            return frozenset()
        there = self._there()
        others = (one for one in there if not one.endswith(READBACK) and f"{one}{READBACK}" not in there)
        folders = Path(self._root).glob(f"*/{MANIFEST}")
        paths = [*(Path(one) for one in others), *folders]
        return frozenset(base for one in paths for base in bases_of(one))

    def begin(self, label: Label, readback: Readback) -> str:
        """Makes its folder and writes the first note; where the archive is to be written. Refused where there is one of
        that name, or a note.
        """
        self._there()
        folder = label.within(self._to)
        with _reached(self._to):
            if self._local:
                Path(folder).mkdir(mode=0o700, parents=True, exist_ok=True)
            elif folder.partition("://")[0] not in OBJECTS:
                self._system.makedirs(system_of(folder)[1], exist_ok=True)
        target = f"{folder}/{label.name}"
        path = system_of(target)[1]
        with _reached(target):
            if self._system.exists(path) or self._system.exists(f"{path}{READBACK}"):
                raise Refused([f"{target} exists already"])
        try:
            self.keep(target, readback)
        except BaseException:
            with suppress(Refused):
                self.remove(path)
            raise
        return target

    def discard(self, target: str) -> None:
        """What `begin` began."""
        self.remove(system_of(target)[1])

    def keep(self, target: str, readback: Readback) -> None:
        """Writes an archive's note, in the place of the one before."""
        with _reached(target):
            path = system_of(f"{target}{READBACK}")[1]
            if not self._local:
                self._system.pipe_file(path, readback.encode())
                return
            fresh = Path(path).with_name(f".{Path(path).name}.{os.getpid()}")
            try:
                with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                    file.write(readback.encode())
                    file.flush()
                    os.fsync(file.fileno())
                fresh.replace(path)
            finally:
                fresh.unlink(missing_ok=True)

    def busy(self, path: str) -> bool:
        """Does a process of this host write it, or read it back? path: of it, or of its note. Of objects: no."""
        return self._local and busy(path.removesuffix(READBACK))

    def size(self, target: str) -> int:
        """Of what is there."""
        with _reached(target):
            return int(self._system.size(system_of(target)[1]))

    def remove(self, path: str) -> None:
        """An archive that is ours, what was left of its writing, and then its note; by `path` of either."""
        archive = path.removesuffix(READBACK)
        with _reached(self._url(archive)):
            if self._system.exists(archive):
                self._system.rm(archive)
            if self._local:
                here = Path(archive)
                for one in here.parent.glob(f".{here.name}.*.partial"):
                    one.unlink(missing_ok=True)
            with suppress(FileNotFoundError):
                self._system.rm(f"{archive}{READBACK}")

    def _readback(self, path: str) -> Readback | None:
        with _reached(self._url(path)):
            try:
                text: bytes = self._system.cat_file(path)
            except FileNotFoundError:
                return None  # it went meanwhile
        return decode(text)

    def _url(self, path: str) -> str:
        return path if self._local else str(self._system.unstrip_protocol(path))


@contextmanager
def _reached(where: str) -> Iterator[None]:
    """Whatever a store's library says, as the reason why it did not go; each has exceptions of its own."""
    try:
        yield
    except ConfigurationError:
        raise
    except Exception as error:
        raise Refused([f"{where}: {str(error) or type(error).__name__}"]) from error
