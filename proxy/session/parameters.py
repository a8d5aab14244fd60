"""Settings: what the session has is the truth; what a server connection has is brought in line before a statement runs
on it.

Effects are noted when the server confirmed the statement, and are undone with the transaction or savepoint they were
made in (PostgreSQL documentation, SET, Notes). Pure bookkeeping; no message is made here besides the text of SET and
RESET.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from proxy.backend.state import NO_SETTINGS, BackendState
from proxy.session.label import NAME, labelled
from proxy.session.objects import Objects, Snapshot
from proxy.sql.plan import Effects, SettingEffect, TransactionVerb
from proxy.tenancy.policy import Limits

PATH = "search_path"  # what names mean to the planner, so that SET LOCAL of it is followed too
NO_CEILINGS: Mapping[str, float] = MappingProxyType({})
_UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "min": 60_000.0, "h": 3_600_000.0, "d": 86_400_000.0, "": 1.0}


def quote_name(name: str) -> str:
    """A setting's name as SET reads it; two-part names keep their dot."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in name.split("."))


def quote_value(value: str) -> str:
    """A value as a string literal (standard_conforming_strings is pinned to on)."""
    return "'" + value.replace("'", "''") + "'"


def difference(wanted: Mapping[str, str], has: Mapping[str, str]) -> str:
    """SET and RESET commands that turn `has` into `wanted`; "" when nothing is to be done. Values are SQL text
    already.
    """
    parts = [f"RESET {quote_name(name)}" for name in has if name not in wanted]
    parts += [f"SET {quote_name(name)} TO {value}" for name, value in wanted.items() if has.get(name) != value]
    return "; ".join(parts)


def milliseconds(value: str) -> float | None:
    """The length of a timeout as PostgreSQL reads it; None when it is not a plain number with a unit."""
    text = value.strip().strip("'").strip()
    digits = text.rstrip("abcdefghijklmnopqrstuvwxyz ")
    unit = text[len(digits) :].strip()
    if unit not in _UNITS:
        return None
    try:
        return float(digits) * _UNITS[unit]
    except ValueError:
        return None


def exceeds(value: str, ceiling: float) -> bool:
    """Is this timeout longer than `ceiling` seconds? 0 means none at all, and what cannot be read is taken as too
    long.
    """
    length = milliseconds(value)
    return length is None or length <= 0 or length > ceiling * 1000


def in_milliseconds(seconds: float) -> str:
    """A timeout as SET reads it."""
    return str(round(seconds * 1000))


def ceilings_of(limits: Limits) -> Mapping[str, float]:
    """The tenant's limits of what a session may set, by setting; seconds."""
    limit = {"statement_timeout": limits.statement_timeout, "transaction_timeout": limits.transaction_timeout}
    return {name: seconds for name, seconds in limit.items() if seconds is not None}


def _with(settings: Mapping[str, str], path: str | None) -> Mapping[str, str]:
    """The settings with this path; None for the one that the connection began with."""
    changed = dict(settings)
    if path is None:
        changed.pop(PATH, None)
    else:
        changed[PATH] = path
    return changed


class Settings:
    """The settings of one session, and those of the connection it holds, through transactions and savepoints."""

    __slots__ = (
        "base",
        "base_objects",
        "ceilings",
        "current",
        "defaults",
        "ended",
        "label",
        "objects",
        "savepoints",
        "state",
        "under",
    )

    def __init__(
        self, defaults: Mapping[str, str], ceilings: Mapping[str, float] = NO_CEILINGS, label: str = ""
    ) -> None:
        self.ceilings = ceilings  # of timeouts, in seconds
        self.label = label  # of application names
        self.defaults = defaults  # what RESET goes back to: the client's startup parameters and the tenant's ceilings
        self.current = defaults
        self.state: BackendState | None = None
        self.base: tuple[Mapping[str, str], Mapping[str, str]] = (defaults, NO_SETTINGS)
        self.objects = Objects()  # undone together with the settings
        self.base_objects = self.objects.snapshot()
        self.under: tuple[str | None, str | None] | None = None  # the path below a SET LOCAL: ours, the connection's
        self.savepoints: list[
            tuple[str, Mapping[str, str], Mapping[str, str], Snapshot, tuple[str | None, str | None] | None]
        ] = []
        self.ended = 0  # transactions, on whatever connection

    def begin(self, state: BackendState) -> None:
        """A connection is leased and in line."""
        self.state = state
        self.base_objects = self.objects.snapshot()
        self.base = (self.current, state.settings)

    def limit(self, defaults: Mapping[str, str], ceilings: Mapping[str, float]) -> None:
        """Other limits and defaults are in force, also in the middle of a transaction: what it has set is undone with
        it as ever.
        """
        current = self._limited(self.current, defaults, ceilings)
        ours, theirs = self.base
        self.base = (current if ours is self.current else self._limited(ours, defaults, ceilings), theirs)
        self.current = current
        self.defaults, self.ceilings = defaults, ceilings

    def _limited(
        self, before: Mapping[str, str], defaults: Mapping[str, str], ceilings: Mapping[str, float]
    ) -> Mapping[str, str]:
        current = dict(before)
        for name in {*self.defaults, *defaults}:
            if current.get(name) == self.defaults.get(name):
                current.pop(name, None)
                current.update({name: defaults[name]} if name in defaults else {})
        for name, ceiling in ceilings.items():
            if name in current and exceeds(current[name], ceiling):
                current[name] = in_milliseconds(ceiling)
        return before if current == before else current

    def carry(self, own: Mapping[str, str]) -> None:
        """The session is served by another mode from now on, and has set these; limit() gives it its defaults there.
        No connection is leased.
        """
        self.current, self.defaults = own, NO_SETTINGS
        self.base = (own, NO_SETTINGS)

    def meant(self, effect: SettingEffect) -> str | None:
        """The value that a SET or RESET gives in this session: a timeout at most the tenant's limit, and RESET goes
        back to what the session began with. None: to what the connection began with.
        """
        if effect.own:
            return effect.value
        ceiling = self.ceilings.get(effect.name)
        if effect.value is None:
            default = self.defaults.get(effect.name)
            return default if default is not None or ceiling is None else in_milliseconds(ceiling)
        if effect.name == NAME:
            return labelled(effect.value, self.label)
        return effect.value if ceiling is None or not exceeds(effect.value, ceiling) else in_milliseconds(ceiling)

    def note(self, effects: Effects, tag: str) -> None:
        """A statement completed with command tag `tag`."""
        state = self.state
        self.objects.note(effects)
        if effects.resets:
            self.reset_all()
            if state is not None:
                state.settings = NO_SETTINGS
        for one in effects.settings:
            if one.name == PATH:
                self._cover(one.local)
            if one.local and (one.name != PATH or state is None):
                continue
            current = dict(self.current)
            applied = dict(state.settings) if state is not None else {}
            value = self.meant(one)
            if value is None:
                applied.pop(one.name, None)
                current.pop(one.name, None)
            else:
                applied[one.name] = current[one.name] = value
            self.current = current
            if state is not None:
                state.settings = current if current == applied else applied
        verb = effects.transaction
        if verb is not None:
            self._transaction(verb, effects.savepoint or "", tag)

    def _cover(self, local: bool) -> None:
        """SET LOCAL of the path hides what it was until the transaction ends; SET takes the place of both."""
        if not local:
            self.under = None
        elif self.under is None and self.state is not None:
            self.under = (self.current.get(PATH), self.state.settings.get(PATH))

    def uncover(self) -> None:
        """The transaction is over, and with it a SET LOCAL of the path."""
        if self.under is None:
            return
        ours, theirs = self.under
        self.under = None
        self.current = _with(self.current, ours)
        if self.state is not None:
            applied = _with(self.state.settings, theirs)
            self.state.settings = self.current if self.current == applied else applied

    def reset_all(self) -> None:
        """RESET ALL: a connection is brought in line before the next statement."""
        self.under = None
        self.current = self.defaults

    def keep(self) -> None:
        """The transaction is committed."""
        self.ended += 1
        self.savepoints.clear()
        self.uncover()
        self.objects.commit()
        self.base_objects = self.objects.snapshot()
        if self.state is not None:
            self.base = (self.current, self.state.settings)

    def restore(self) -> None:
        """The transaction is rolled back."""
        self.ended += 1
        self.savepoints.clear()
        self.under = None
        self.current = self.base[0]
        self.objects.roll_back(self.base_objects)
        if self.state is not None:
            self.state.settings = self.base[1]

    def _transaction(self, verb: TransactionVerb, name: str, tag: str) -> None:
        state = self.state
        if state is None:
            return
        if verb is TransactionVerb.SAVEPOINT:
            self.savepoints.append((name, self.current, state.settings, self.objects.snapshot(), self.under))
        elif verb is TransactionVerb.ROLLBACK_TO:
            at = self._find(name)
            if at is not None:
                _, self.current, state.settings, objects, self.under = self.savepoints[at]
                self.objects.restore(objects)
                del self.savepoints[at + 1 :]
        elif verb is TransactionVerb.RELEASE:
            at = self._find(name)
            if at is not None:
                del self.savepoints[at:]
        elif tag == "ROLLBACK":  # COMMIT of a failed transaction answers ROLLBACK too
            self.restore()
        elif tag == "COMMIT":
            self.keep()

    def _find(self, name: str) -> int | None:
        for at in range(len(self.savepoints) - 1, -1, -1):
            if self.savepoints[at][0] == name:
                return at
        return None
