"""Why nothing was done: an archive that cannot be believed, or a backup or restore that would not be right.

Raised before anything was written, or inside a transaction that is rolled back. The texts are for the operator, who
may read everything, and never hold a password.
"""

from __future__ import annotations

from proxy.errors import ConfigurationError


class Refused(ConfigurationError):
    """`problems` says all that is in the way, one sentence each."""


class Damaged(Refused):
    """The archive is not as it was written."""

    def __init__(self, problem: str) -> None:
        super().__init__([f"the archive is damaged: {problem}"])
