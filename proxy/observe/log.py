"""The log: structlog on standard error, one JSON object per line or a coloured line for people.

`configure` is called once by the process; who is given a logger binds what it knows. Nothing here looks into values:
secrets
must not be handed in, and the values of rule files print themselves without them.
"""

from __future__ import annotations

import logging
import sys
from typing import Any, Literal, TextIO

import structlog

Format = Literal["json", "console"]


def configure(
    form: Format = "json", level: str = "info", stream: TextIO | None = None, worker: int | None = None
) -> None:
    """Sets up structlog for this process. `level` is one of debug, info, warning, error; `worker` is in each line."""
    out = sys.stderr if stream is None else stream
    ends: list[Any] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str)]
        if form == "json"
        else [structlog.dev.ConsoleRenderer(colors=out.isatty())]
    )
    structlog.configure(
        processors=[
            *([] if worker is None else [lambda _logger, _method, event: {**event, "worker": worker}]),
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *ends,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.WriteLoggerFactory(file=out),
        cache_logger_on_first_use=False,
    )


def get_logger(name: str) -> Any:
    """A logger that says where its lines come from."""
    return structlog.get_logger(part=name)
