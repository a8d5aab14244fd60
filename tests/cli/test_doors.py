"""Proxies and the rule file change as one, or they are as they were."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from proxy.backup.moving import Stayed, Unclear
from proxy.backup.refusal import Refused
from proxy.cli.document import InFile
from proxy.cli.doors import RuleDoors
from proxy.cli.quiet import Silent
from proxy.settings import load_settings
from tests.cli.conftest import TOKEN
from tests.kit.postgres import Cluster, free_port
from tests.kit.proxy import Proxy


def sample_of(proxy: Proxy) -> Path:
    return proxy.directory / "rules" / "sample.yaml"


def doors_of(proxy: Proxy, server: Cluster, port: int | None = None) -> RuleDoors:
    """globex goes to private2, at this port."""
    file = sample_of(proxy)
    to = f"postgresql://app@127.0.0.1:{port or server.port}/private2?sslmode=disable"
    return RuleDoors(
        tenant="globex",
        database="shared",
        document=InFile(file.parent, file, "globex", {"server": to}, "draft"),
        before=file.read_text("utf-8"),
        after="",
        here=f"127.0.0.1:{server.port}/shared",
        there=f"127.0.0.1:{server.port}/private2",
        settings=load_settings(None, {"state_directory": proxy.directory / "state", "admin_token": TOKEN}),
        at=(),
        max_pause=5,
        alone=True,
    )


def drafts(proxy: Proxy) -> list[Path]:
    return [one for one in (proxy.directory / "rules").iterdir() if one.name.startswith(".")]


async def test_the_rules_change_for_all_and_back_again(proxy: Proxy, postgres15: Cluster) -> None:
    doors, file = doors_of(proxy, postgres15), sample_of(proxy)
    before = file.read_text("utf-8")
    assert not await doors.named()
    await doors.ready()
    async with doors.paused():
        await doors.switch()
    assert (file.read_text("utf-8"), drafts(proxy), await doors.named()) == (doors.after, [], True)
    await doors.arrived()
    with pytest.raises(Refused, match=r"the proxy here serves globex at .*/private2, and not at .*/shared"):
        await doors.ready()
    await doors.back()
    assert file.read_text("utf-8") == before
    with pytest.raises(Refused, match="and not at"):
        await doors.arrived()


async def test_what_cannot_be_switched_to_is_told_before(proxy: Proxy, postgres15: Cluster, tmp_path: Path) -> None:
    doors = doors_of(proxy, postgres15)
    other = Path(shutil.copytree(sample_of(proxy).parent, tmp_path / "rules"))
    elsewhere = InFile(other, other / "sample.yaml", "globex", {"server": doors.there}, "draft")
    with pytest.raises(Refused, match="it reads other rule files"):
        await replace(doors, document=elsewhere).ready()
    with pytest.raises(Refused, match="the place of tenant globex could not be opened"):
        await doors_of(proxy, postgres15, free_port()).ready()
    nobody = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(Silent):
        await replace(doors, at=[f"http://127.0.0.1:{proxy.admin_port}", nobody]).ready()
    doors.forget()
    assert drafts(proxy) == []


async def test_rules_that_are_refused_or_were_changed_stay_as_they_were(proxy: Proxy, postgres15: Cluster) -> None:
    doors, file = doors_of(proxy, postgres15), sample_of(proxy)
    before = file.read_text("utf-8")
    await doors.ready()
    doors.after = before + "colour: red\n"
    with pytest.raises(Refused, match="globex goes on at the source"):
        await doors.switch()
    assert file.read_text("utf-8") == before
    file.write_text(before + "# by somebody else\n", "utf-8")
    try:
        with pytest.raises(Stayed, match=r"sample.yaml was changed meanwhile"):
            await doors.switch()
    finally:
        file.write_text(before, "utf-8")


async def test_a_file_that_names_the_target_is_not_taken_for_one_that_names_the_source(
    proxy: Proxy, postgres15: Cluster
) -> None:
    """Somebody edits it between a switch and what comes after."""
    doors, file = doors_of(proxy, postgres15), sample_of(proxy)
    before = file.read_text("utf-8")
    await doors.ready()
    try:
        await doors.switch()
        file.write_text(doors.after + "# by somebody else\n", "utf-8")
        await doors.switch()  # it says what it should
        with pytest.raises(Refused, match=r"was changed meanwhile; let it name .*/shared for globex"):
            await doors.back()
        doors.there = "elsewhere:5432/shared"
        with pytest.raises(Unclear, match="nothing of globex is written before"):
            await doors.switch()
        assert file.read_text("utf-8") == doors.after + "# by somebody else\n"
    finally:
        file.write_text(before, "utf-8")
        await doors.back()
