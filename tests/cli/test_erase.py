"""`partywall erase` beside a proxy that serves: it asks, it pauses the tenant, and its receipt can be proven."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.cli.erase import _write
from proxy.errors import ConfigurationError
from tests.backup.shelf import checksums
from tests.backup.test_restoring import GLOBEX, others
from tests.backup.test_signing import openssl
from tests.cli.conftest import Run
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.rules import write_sample_rules
from tests.kit.sample import load_sample, pristine

KEY = "PARTYWALL_RECEIPT_KEY"


@pytest.fixture
def serving(postgres18: Cluster) -> Iterator[Proxy]:
    """A proxy of this test's alone, on a copy of the sample set."""
    with pristine(load_sample(postgres18)) as database, running_proxy(postgres18.port, database) as proxy:
        yield proxy


def test_a_tenant_is_erased_with_a_receipt_once_its_name_was_typed(
    run: Run, serving: Proxy, postgres18: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARTYWALL_STATE_DIRECTORY", str(serving.directory / "state"))
    uri = f"postgresql://postgres@127.0.0.1:{postgres18.port}/{serving.database}?sslmode=disable"
    path, key = tmp_path / "receipt.json", tmp_path / "receipt.key"
    rules = str(serving.directory / "rules")
    whole = ("erase", "--tenant", "globex", "--database", serving.database, "--server", uri, "--rules", rules)
    given = (*whole, "--receipt", str(path))
    before = checksums(postgres18, serving.database)

    refused = run(*given)
    assert (refused.exit_code, "openssl genpkey -algorithm ed25519" in refused.stderr) == (1, True), refused.output
    openssl("genpkey", "-algorithm", "ed25519", "-out", str(key))
    openssl("pkey", "-in", str(key), "-pubout", "-out", f"{key}.pub")
    monkeypatch.setenv(KEY, str(key))
    for arguments, typed, why in (
        (whole, "", "name a file for the --receipt"),
        ((*whole, "--receipt", str(key)), "", "exists already"),
        ((*whole, "--receipt", str(tmp_path / "none" / "r")), "", "is no folder"),
        (given, "acme\n", "that is not the tenant's name; nothing was erased"),
        (given, "", "nothing was erased"),
        ((*given, "--at", "http://127.0.0.1:1", "--yes"), "", "admin_token is not set"),
    ):
        refused = run(*arguments, typed=typed)
        assert (refused.exit_code, why in refused.output) == (1, True), refused.output
    dry = run(*whole, "--dry-run")
    assert (dry.exit_code, dry.stdout.splitlines()[-1]) == (0, "a dry run: nothing was changed"), dry.output
    assert "public.orders: 22 rows" in dry.stdout
    assert (checksums(postgres18, serving.database), path.exists()) == (before, False)

    with serving.connect("globex_app") as client, serving.connect("acme_app") as other:
        assert client.simple("SELECT count(*) FROM orders").rows == [(b"22",)]
        done = run(*given, "--archive", "s3://backups/globex", "--json", typed="globex\n")
        assert done.exit_code == 0, done.output
        assert client.simple("SELECT count(*) FROM orders").rows == [(b"0",)]  # not dropped, and paused no more
        assert other.simple("SELECT count(*) FROM orders").errors == []
    assert checksums(postgres18, serving.database) == others(before, *GLOBEX)
    told = json.loads(path.read_bytes())
    assert (told["tenant"], told["server"]["database"]) == ("globex", serving.database)
    assert (told["tables"]["public.orders"], told["second_look"]["rows"]) == (22, 0)
    remains = {one["what"]: one["where"] for one in told["remains"]}
    assert remains["archives"] == ["s3://backups/globex"]
    assert remains["materialized views"] == ["public.mv_order_stats"]
    assert {"wal", "dead rows", "the proxies' own", "rules"} <= remains.keys()
    proven = run("receipt", str(path), "--key", f"{key}.pub")
    assert (proven.exit_code, json.loads(proven.stdout)) == (0, told)
    path.write_text(path.read_text("utf-8").replace('"public.orders": 22', '"public.orders": 23'), "utf-8")
    tampered = run("receipt", str(path), "--key", f"{key}.pub")
    assert (tampered.exit_code, "the receipt is not what was signed" in tampered.stderr) == (1, True)


def test_a_receipt_without_a_signature_has_to_be_asked_for(run: Run, postgres18: Cluster, tmp_path: Path) -> None:
    with pristine(load_sample(postgres18)) as database:
        rules = tmp_path / "rules"
        rules.mkdir()
        write_sample_rules(rules, postgres18.port, database)
        text = (rules / "sample.yaml").read_text("utf-8")
        kept = 'isolation: row\nbackups: {schedule: "0 2 * * *", to: "/backups/{tenant}"}\n'
        (rules / "sample.yaml").write_text(text.replace("isolation: row\n", kept, 1), "utf-8")
        uri = f"postgresql://postgres@127.0.0.1:1,127.0.0.1:{postgres18.port}/{database}?sslmode=disable"
        path = tmp_path / "r"
        where = ("--tenant", "acme", "--database", database, "--rules", str(rules), "--server", uri, "--no-pause")
        done = run("erase", *where, "--receipt", str(path), "--unsigned", "--yes", "--keep-registration")
        assert done.exit_code == 0, done.output
        assert "registration kept: public.tenants" in done.stdout
        told = json.loads(path.read_bytes())
        assert [one["where"] for one in told["remains"] if one["what"] == "archives"] == [["/backups/acme"]]
        assert (told["key"], told["registration_kept"]) == (None, ["public.tenants"])
        assert told["server"]["address"] == f"127.0.0.1:{postgres18.port}"  # nobody is at the first
        assert not Path(f"{path}.sig").exists()


def test_a_receipt_that_cannot_be_written_is_told_where_the_data_is_gone_already(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ConfigurationError, match="exists already"):
        _write(tmp_path, {"format": 1}, None)
    told = capsys.readouterr().err
    assert told.startswith("The data was erased, and its receipt could not be written.")
    assert '"format": 1' in told
