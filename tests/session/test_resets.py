"""RESET ALL and DISCARD ALL: the session's own defaults come back, and the client hears of every parameter."""

from __future__ import annotations

from proxy.backend.state import NO_SETTINGS
from proxy.session.session import ClientSession
from proxy.wire.fields import message
from tests.session.conftest import DISCARDED, READY, Door, Talk, complete, kinds, query

TOKYO = message(83, b"TimeZone\0Asia/Tokyo\0")
UTC = message(83, b"TimeZone\0UTC\0")
DEFAULTS = {"work_mem": "'5MB'"}


def set_zone(talk: Talk) -> None:
    talk(query("SET timezone = 'Asia/Tokyo'"), message(67, b"SET\0") + TOKYO + READY + b"I")


def test_without_a_connection_the_session_answers_and_tells_what_changed(talk: Talk, door: Door) -> None:
    for text in ("RESET ALL", "DISCARD ALL"):
        one = door.renew()
        set_zone(talk)
        written = one.written
        assert (
            talk(query(text), b"")
            == complete(text.split(maxsplit=1)[0] if "RESET" in text else text)[:-6] + UTC + READY + b"I"
        )
        assert one.written == written
    assert kinds(talk(query("RESET ALL"), b"")) == "CZ"


def test_what_nobody_has_learnt_the_server_is_asked(talk: Talk, session: ClientSession, door: Door) -> None:
    set_zone(talk)
    door.reported = None
    (one,) = door.free
    one.written = b""
    talk(query("RESET ALL"), message(67, b"RESET\0") + UTC + READY + b"I")
    assert one.written == query("RESET ALL")
    assert session.known["TimeZone"] == "UTC"


def test_in_a_transaction_the_server_resets_and_the_defaults_are_set_again_behind_it(
    talk: Talk, session: ClientSession, door: Door
) -> None:
    session.settings.limit(DEFAULTS, {})
    (one,) = door.free
    talk(query("BEGIN"), complete("SET") + complete("BEGIN", "T"))
    one.written = b""
    told = talk(
        query("RESET ALL; SELECT 1"), b"".join(complete(t)[:-6] for t in ("RESET", "SET")) + complete("SELECT 1", "T")
    )
    assert one.written == query("RESET ALL;\nSET \"work_mem\" TO '5MB';\nSELECT 1")
    assert kinds(told) == "CCZ"
    assert one.state.settings == DEFAULTS


def test_discard_all_forgets_what_the_connection_had_and_sets_the_defaults_in_the_same_write(
    talk: Talk, session: ClientSession, door: Door
) -> None:
    (one,) = door.free
    talk(query("CREATE TEMP TABLE t ()"), complete("CREATE TABLE"))
    session.settings.limit(DEFAULTS, {})
    one.state.settings = session.settings.current
    one.written = b""
    session.data(query("DISCARD ALL"))
    assert kinds(one.written) == "PBECPBECS"
    again = b"1\0\0\0\0042\0\0\0\4" + message(67, b"SET\0") + b"3\0\0\0\4"
    assert talk(b"", DISCARDED[:-6] + again + READY + b"I") == complete("DISCARD ALL")
    assert (one.state.settings, dict(one.state.prepared)) == (DEFAULTS, {})


def test_a_failed_discard_leaves_everything_as_it_was(talk: Talk, session: ClientSession, door: Door) -> None:
    talk(query("CREATE TEMP TABLE t ()"), complete("CREATE TABLE"))
    refused = message(69, b"SERROR\0VERROR\0C25001\0Mno\0\0") + READY + b"I"
    assert kinds(talk(query("DISCARD ALL"), b"1\0\0\0\0042\0\0\0\4" + refused)) == "EZ"
    assert session.pins == {"test"}
    assert door.released == []
    assert session.settings.current == NO_SETTINGS
