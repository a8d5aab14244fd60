"""`partywall verify`: status 0 for an archive that is whole, 1 with the reason for any other."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Run


def test_what_is_no_archive_or_not_whole_is_refused_with_the_reason(run: Run, sample: str, tmp_path: Path) -> None:
    path = tmp_path / "a"
    assert run("backup", "--tenant", "acme", "--database", "shared", "-o", str(path), "--rules", sample).exit_code == 0
    whole = path.read_bytes()
    for text, why in (
        (b"", "it ends before its end"),
        (b"x" * 2000, "there is no member's header"),
        (whole[:-1], "it does not end where it should"),
        (whole[:-1500], "it ends within manifest.sha256"),
        (whole.replace(b"manifest.sha256", b"manifest.sha512", 1), "header"),
    ):
        path.write_bytes(text)
        done = run("verify", str(path))
        assert done.exit_code == 1
        assert done.stderr.splitlines()[-1].startswith("the archive is damaged: ")
        assert why in done.stderr
    absent = run("verify", str(tmp_path / "absent"))
    assert absent.exit_code == 1
    assert "No such file" in absent.stderr
    folder = run("verify", f"{tmp_path}/absent/")
    assert (folder.exit_code, "it has no manifest" in folder.stderr) == (1, True)
