"""A worker: `python -m proxy.app.worker`, started by a supervisor and by nobody else.

Exit status 0: every session ended by itself; 3: some had to be cut off; 1: it could not serve, for what is in the log.
Ctrl-C is the supervisor's business.
"""

from __future__ import annotations

import os
import signal
import sys

from proxy.app.loop import run
from proxy.app.process import serve
from proxy.app.share import shared
from proxy.errors import ConfigurationError
from proxy.fleet.leash import hold, told
from proxy.observe.log import configure, get_logger
from proxy.settings import Settings

CUT_OFF = 3


def main(source: int) -> int:
    """Serves in the place that the supervisor tells; the exit status."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    post = told(source)
    settings = Settings(**post.settings)
    hold(source, settings.drain_timeout)
    configure(settings.log.format, settings.log.level, worker=post.number)
    log = get_logger("proxy")
    try:
        return 0 if run(serve(shared(settings, post.workers), os.environ, post)) else CUT_OFF
    except ConfigurationError as error:
        log.error("cannot serve", problems=error.problems)
    except OSError as error:
        log.error("cannot serve", problems=[str(error)])
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.stdin.fileno()))
