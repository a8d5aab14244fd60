"""What a survey found, as people read it: what many tenants have alike is told once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from proxy.catalog.finding import Finding, identifier
from proxy.doctor.report import ORDER, Report
from proxy.doctor.survey import Surveyed

NAMED = 5  # tenants that are named
SHOWN = 3  # remedies of different tenants that are shown


@dataclass(slots=True)
class _Alike:
    """Findings that differ in nothing but whose they are."""

    finding: Finding
    accepted: bool
    tenants: dict[str, None] = field(default_factory=dict)  # in order, as the remedies are
    remedies: dict[str, None] = field(default_factory=dict)


def told(surveyed: Sequence[Surveyed]) -> Iterator[str]:
    """What was found in one database, line by line."""
    if len(surveyed) == 1:
        yield from described(surveyed[0].place, surveyed[0].report)
        return
    scores = [one.report.score for one in surveyed]
    span = f"{min(scores)} to {max(scores)}" if min(scores) < max(scores) else f"{scores[0]}"
    tenants = {tenant for one in surveyed for tenant in one.tenants}
    yield f"{surveyed[0].database}: {len(tenants)} tenants, score {span} of 100"
    for one in _alike(surveyed):
        yield from ("", _head(one.finding, one.accepted), f"  {one.finding.text}")
        others = list(one.tenants)[:NAMED]
        more = f" and {len(one.tenants) - NAMED} more" if len(one.tenants) > NAMED else ""
        yield f"  tenants: {', '.join(others)}{more}"
        yield from _attack(one.finding)
        for remedy in list(one.remedies)[:SHOWN]:
            yield f"  remedy: {remedy}"
        if len(one.remedies) > SHOWN:
            yield f"  and {len(one.remedies) - SHOWN} more remedies, which --json shows"


def described(place: str, report: Report) -> Iterator[str]:
    """A report line by line."""
    yield f"{place}: score {report.score} of 100"
    for finding, accepted in report.findings:
        yield from ("", _head(finding, accepted), f"  {finding.text}", *_attack(finding))
        yield f"  remedy: {finding.remedy}"


def _head(finding: Finding, accepted: bool) -> str:
    return f"{finding.severity}: {finding.name}{' (accepted)' if accepted else ''}"


def _attack(finding: Finding) -> list[str]:
    return [f"  attack: {finding.attack}"] if finding.attack else []


def _alike(surveyed: Sequence[Surveyed]) -> list[_Alike]:
    """The worst first."""
    found: dict[tuple[str, ...], _Alike] = {}
    for one in surveyed:
        for finding, accepted in one.report.findings:
            group = found.setdefault(_without_names(finding, one), _Alike(finding, accepted))
            group.tenants.update(dict.fromkeys(one.tenants))
            group.remedies[finding.remedy] = None
    return sorted(found.values(), key=lambda one: ORDER.index(one.finding.severity))


def _without_names(finding: Finding, of: Surveyed) -> tuple[str, ...]:
    """What a finding says, whosever it is."""
    name = ".".join("" if part == of.schema else part for part in finding.name.split("."))
    text = finding.text.replace(identifier(of.server.role), "").replace(identifier(of.schema), "")
    return finding.severity, name, text.replace(f" {of.schema}.", " .") if of.schema else text
