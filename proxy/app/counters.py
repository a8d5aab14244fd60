"""How this process shares its limits: not at all, over the host's socket, or over Redis, as the settings say."""

from __future__ import annotations

import secrets
from pathlib import Path

from proxy.errors import ConfigurationError
from proxy.fleet.rationing import StoreRationing
from proxy.fleet.stores.local import LocalStore
from proxy.fleet.stores.redis import RedisStore
from proxy.observe.log import get_logger
from proxy.quota.exchange import CounterStore, Terms
from proxy.settings import Settings

SETTLE = 2.0  # seconds until a new process is given anything: the others have heard of it
READY = 10.0  # seconds that the start waits for the store's first word; then it goes on without
SOCKET = "counters.sock"  # in the state directory: where the workers of one host share


def terms_of(settings: Settings) -> Terms:
    """The times that the store and its processes keep."""
    if settings.counter_store is None:
        return Terms(settings.permit_ttl)
    return Terms(settings.permit_ttl, settle=SETTLE, empty=settings.permit_ttl)


def rationing_of(settings: Settings, local: Path | None) -> StoreRationing | None:
    """What carries this process's limits to its store; None where it shares them with nobody. local: the socket of this
    host's workers. ConfigurationError for a URL that is none.
    """
    terms = terms_of(settings)
    store: CounterStore
    if settings.counter_store is not None:
        try:
            store = RedisStore(settings.counter_store.get_secret_value(), terms)
        except ValueError:  # which may repeat a piece of the secret
            raise ConfigurationError(["counter_store is no URL of a Redis server"]) from None
    elif local is not None:
        store = LocalStore(local, terms.timeout)
    else:
        return None
    return StoreRationing(secrets.token_hex(8), store, terms, get_logger("counters"))
