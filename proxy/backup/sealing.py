"""Encryption to recipients in the age format, as the `age` program writes and reads it.

Promises: what was sealed is a stream in constant memory, and is whole or unreadable. No secret is in any message. The
library pulls, and an archive is pushed, so a pipe and a thread stand between. Source: age-encryption.org/v1.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import pyrage

from proxy.backup.refusal import Damaged, Refused

MAGIC = b"age-encryption.org/v1\n"


def recipient(text: str) -> Any:
    """Whom an archive is for: age1… or the public half of an SSH key."""
    for kind in (pyrage.x25519.Recipient, pyrage.ssh.Recipient):
        try:
            return kind.from_str(text.strip())
        except pyrage.RecipientError:
            continue
    raise Refused([f"{text!r} is no age recipient; it is age1… or an SSH public key"])


def identities(path: Path) -> list[Any]:
    """The secrets in a file that age-keygen or ssh-keygen wrote."""
    content = path.read_bytes()
    if b"PRIVATE KEY" in content:
        try:
            return [pyrage.ssh.Identity.from_buffer(content)]
        except pyrage.IdentityError:
            raise Refused([f"{path}: not an SSH key that can be used without a passphrase"]) from None
    lines = content.decode("utf-8", "replace").splitlines()
    try:
        found = [
            pyrage.x25519.Identity.from_str(one.strip()) for one in lines if one.strip() and not one.startswith("#")
        ]
    except pyrage.IdentityError:
        raise Refused([f"{path}: a line is no age identity"]) from None
    if not found:
        raise Refused([f"{path}: there is no age identity"])
    return found


def passing() -> tuple[Any, Any]:
    """Identity and recipient of what only this process shall read: nobody can once it has ended."""
    secret = pyrage.x25519.Identity.generate()
    return secret, secret.to_public()


class Sealed:
    """A file to write to; what is written goes into `file` encrypted. `close` ends the message, not the file."""

    def __init__(self, file: BinaryIO, recipients: Sequence[Any]) -> None:
        source, sink = os.pipe()
        self._sink = os.fdopen(sink, "wb")
        self._turning = _Turning(lambda: pyrage.encrypt_io(reading, file, list(recipients)), "seal")
        reading = self._turning.keep(os.fdopen(source, "rb"))
        self._turning.start()

    def write(self, data: bytes) -> None:
        """OSError when the file cannot be written."""
        try:
            self._sink.write(data)
        except BrokenPipeError:
            self.close()
            raise

    def close(self) -> None:
        """Ends the message; OSError when it could not be written whole."""
        with suppress(BrokenPipeError):
            self._sink.close()
        try:
            self._turning.end()
        except pyrage.EncryptError as error:
            raise OSError(str(error)) from None


class Opened:
    """A file to read from: what stands encrypted in `file`. Damaged when that is not as it was sealed."""

    def __init__(self, file: BinaryIO, keys: Sequence[Any]) -> None:
        source, sink = os.pipe()
        self._source = os.fdopen(source, "rb")
        self._turning = _Turning(lambda: pyrage.decrypt_io(file, writing, list(keys)), "open")
        writing = self._turning.keep(os.fdopen(sink, "wb"))
        self._turning.start()

    def read(self, size: int) -> bytes:
        """So many bytes, or fewer at the end of the message."""
        data = self._source.read(size)
        if len(data) < size:
            try:
                self._turning.end()
            except pyrage.DecryptError as error:
                if "matching keys" in str(error).lower():
                    raise Refused(["the archive is encrypted to others: no identity fits"]) from None
                raise Damaged(f"it cannot be decrypted: {error}") from None
            except OSError as error:
                if error.errno is not None:
                    raise
                raise Damaged("it cannot be decrypted to its end") from None  # what the library says of changed bytes
        return data

    def close(self) -> None:
        """Stops reading, whatever is left."""
        self._source.close()
        self._turning.stop()


class _Turning:
    """The thread that encrypts or decrypts, and the end of the pipe that is its own."""

    def __init__(self, turn: Callable[[], None], name: str) -> None:
        self._turn = turn
        self._own: BinaryIO | None = None
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=f"age {name}", daemon=True)

    def keep(self, file: BinaryIO) -> BinaryIO:
        self._own = file
        return file

    def start(self) -> None:
        self._thread.start()

    def _run(self) -> None:
        try:
            self._turn()
        except BaseException as error:
            self._failure = error
        finally:
            assert self._own is not None
            try:
                self._own.close()
            except OSError as error:
                self._failure = self._failure or error

    def end(self) -> None:
        """Waits for the thread; raises what it ended with."""
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        self._thread.join()
