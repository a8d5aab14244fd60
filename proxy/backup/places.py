"""Where archives are: a file, a folder of members, standard output, or an object that fsspec reaches by its URL.

Promises: what is written is for its owner only, appears under its name when it is whole, and nothing stays of what was
not; what a process that was killed left beside a name is removed by the next that writes there. Nothing that is there
is written over. An object store shows an object when its upload ends; one that failed is removed, and one that could
not be removed has no manifest, so nobody takes it for an archive.
"""

from __future__ import annotations

import fcntl
import glob
import os
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, cast

import fsspec

from proxy.backup.refusal import Refused

STREAM = "-"


def is_folder(target: str) -> bool:
    """Is it a folder of members? What ends with a slash or is one already."""
    target = local(target)
    return "://" not in target and (target.endswith("/") or Path(target).is_dir())


def local(target: str) -> str:
    """A file's URL as its path: fsspec would write to it in place, and half of an archive would have its name."""
    kind, found, path = target.partition("://")
    return path if found and kind in ("file", "local") else target


def name_of(target: str) -> str:
    """What an archive is called in its folder."""
    return local(target).rstrip("/").rpartition("/")[2]


def beside(target: str, name: str) -> str:
    """What is called so in the same folder as an archive."""
    folder, slash, _ = local(target).rstrip("/").rpartition("/")
    return f"{folder}{slash}{name}"


@contextmanager
def written(target: str) -> Iterator[BinaryIO]:
    """A file to write an archive to; it is there once the block ends well."""
    target = local(target)
    if target == STREAM:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    elif "://" in target:
        yield from _object(target)
    else:
        yield from _file(Path(target))


def _file(path: Path) -> Iterator[BinaryIO]:
    partial = _partial(path)
    if path.exists():
        raise Refused([f"{path} exists already"])
    try:
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(partial, path)  # unlike a rename it never takes another's place
        except FileExistsError:
            raise Refused([f"{path} exists already"]) from None
    finally:
        partial.unlink(missing_ok=True)


def _object(target: str) -> Iterator[BinaryIO]:
    system, path = system_of(target)
    if system.exists(path):
        raise Refused([f"{target} exists already"])
    file = system.open(path, "wb")
    try:
        yield cast("BinaryIO", file)
        file.close()
    except BaseException:
        if hasattr(file, "discard"):
            with suppress(Exception):
                file.discard()
        with suppress(Exception):
            system.rm(path)
        raise


@contextmanager
def made_folder(target: str) -> Iterator[Path]:
    """A folder to put members into; it is there once the block ends well."""
    path = Path(local(target))
    partial = _partial(path)
    if path.is_dir() and any(path.iterdir()):
        raise Refused([f"{path} is not empty"])
    partial.mkdir(0o700)
    held = os.open(partial, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield partial
        partial.replace(path)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    finally:
        os.close(held)


@contextmanager
def held(target: str) -> Iterator[None]:
    """A file that is there is somebody's while the block runs, for `busy` to see. Of an object nobody can say so."""
    target = local(target)
    if "://" in target:
        yield
        return
    with Path(target).open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield


def busy(target: str) -> bool:
    """Does a process on this host write this file, or hold it? What cannot be told is a yes; of objects it is a no."""
    target = local(target)
    path = Path(target)
    if "://" in target:
        return False
    for one in (path, *path.parent.glob(f".{glob.escape(path.name)}.*.partial")):
        try:
            found = os.open(one, os.O_RDONLY)
        except FileNotFoundError:
            continue
        except OSError:
            return True
        try:
            fcntl.flock(found, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(found)
    return False


def _partial(path: Path) -> Path:
    """Where to write what is to be `path`. What others left there is removed: nobody alive holds it."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.partial"):
        with suppress(OSError):  # somebody else removes it, or may
            held = os.open(left, os.O_RDONLY)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if left.is_dir():
                    shutil.rmtree(left)
                else:
                    left.unlink()
            finally:
                os.close(held)
    # No process's number: in a container each has the same one.
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")


@contextmanager
def read(source: str) -> Iterator[BinaryIO]:
    """A file to read an archive from. OSError when there is none."""
    source = local(source)
    if source == STREAM:
        yield sys.stdin.buffer
    elif "://" in source:
        system, path = system_of(source)
        try:
            file = system.open(path, "rb")
        except FileNotFoundError:
            raise FileNotFoundError(2, "there is no such object", source) from None
        with file:
            yield cast("BinaryIO", file)
    else:
        with Path(source).open("rb") as file:
            yield file


def system_of(target: str) -> tuple[Any, str]:
    """The file system of a URL, and the path there. Refused when the library for it is not installed."""
    try:
        system, path = fsspec.core.url_to_fs(target)
    except (ImportError, ValueError) as error:
        raise Refused([f"{target.partition('://')[0]}: {error}"]) from None
    return system, str(path)
