"""schema: a JSON Schema that names what rule files may hold."""

from __future__ import annotations

import json

from tests.cli.conftest import Run


def test_the_schema_is_json_and_names_the_three_documents(run: Run) -> None:
    result = run("schema")
    assert result.exit_code == 0
    schema = json.loads(result.output)
    text = json.dumps(schema)
    assert schema["title"] == "Partywall rule document"
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    for name in ("tenant_column", "logins", "verifier", "quotas", "isolation"):
        assert f'"{name}"' in text


def test_masking_files_have_a_schema_too(run: Run) -> None:
    result = run("schema", "masking")
    assert result.exit_code == 0
    schema = json.loads(result.output)
    assert schema["properties"].keys() == {"unlisted", "tables"}
    assert schema["title"] == "Partywall masking file"
    assert run("schema", "other").exit_code == 2
