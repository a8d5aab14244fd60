"""A file that people wrote is changed in one word, or not at all."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from proxy.tenancy.documents import as_yaml, edited, home_of, keys_of, switched, tenant_document

COMMENTED = """\
# who they are
database: shop   # ours
---
tenant: acme     # the first; "quoted: {not}"
# their key
key: 1
databases: [shop]
logins:
    acme_app: {verifier: "…"}   # nobody knows
"""


def test_a_new_document_says_what_it_was_given_and_reads_back() -> None:
    made = tenant_document("no", keys_of(["default=7", "slug=a: b"]), ["shop"], "null", "SCRAM-SHA-256$…")
    assert yaml.safe_load(as_yaml(made)) == {
        "tenant": "no",
        "keys": {"default": 7, "slug": "a: b"},
        "databases": ["shop"],
        "logins": {"null": {"verifier": "SCRAM-SHA-256$…"}},
    }


@pytest.mark.parametrize(
    ("given", "keys"),
    [
        (["7"], {"key": 7}), (["-7"], {"key": -7}), (["007"], {"key": "007"}), (["acme"], {"key": "acme"}),
        (["a-b=c"], {"key": "a-b=c"}), (["default=x=y"], {"keys": {"default": "x=y"}}),
        (["default=1", "uid=2"], {"keys": {"default": 1, "uid": 2}}),
    ],
)  # fmt: skip
def test_a_key_is_a_number_where_it_is_written_as_one(given: list[str], keys: object) -> None:
    assert keys_of(given) == keys


@pytest.mark.parametrize("given", [[], ["1", "2"], ["default=1", "2"], ["default=1", "default=2"]])
def test_keys_that_cannot_be_told_apart_are_refused(given: list[str]) -> None:
    with pytest.raises(ValueError, match="key"):
        keys_of(given)


def test_a_tenant_is_disabled_by_one_line_and_enabled_by_one_word() -> None:
    disabled = switched(COMMENTED, "acme", disabled=True)
    first = 'tenant: acme     # the first; "quoted: {not}"\n'
    assert disabled == COMMENTED.replace(first, first + "disabled: true\n")
    assert switched(disabled, "acme", disabled=True) == disabled
    assert switched(disabled, "acme", disabled=False) == disabled.replace("true", "false")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("{tenant: acme, key: 1}", "{disabled: true, tenant: acme, key: 1}"),
        ("tenant: acme", "tenant: acme\ndisabled: true"),
        ("key: 1\ntenant: 'acme'\n", "key: 1\ntenant: 'acme'\ndisabled: true\n"),
        ("  tenant: acme\n  key: 1\n", "  tenant: acme\n  disabled: true\n  key: 1\n"),
        ("tenant:\n  acme\nkey: 1\n", "tenant:\n  acme\ndisabled: true\nkey: 1\n"),
        ("# Ünïcödé ✓\ntenant: acme\nkey: ü\n", "# Ünïcödé ✓\ntenant: acme\ndisabled: true\nkey: ü\n"),
        ("tenant: acme\r\nkey: 1\r\n", "tenant: acme\r\ndisabled: true\r\nkey: 1\r\n"),
        ("tenant: b\n---\ntenant: acme\ndisabled: no\n", "tenant: b\n---\ntenant: acme\ndisabled: true\n"),
        ("tenant: acme\ndisabled: &off false\n", "tenant: acme\ndisabled: true\n"),
    ],
)
def test_whatever_the_form_only_that_is_changed(before: str, after: str) -> None:
    assert switched(before, "acme", disabled=True).replace("\r", "") == after.replace("\r", "")


@pytest.mark.parametrize(
    "text",
    [
        "tenant: globex\n", "tenant: |\n  acme\nkey: 1\n", "[tenant, acme]\n", "a: {tenant: acme}\n",
        "tenant: acme\ndisabled: &off false\nother: *off\n",
    ],
)  # fmt: skip
def test_where_it_cannot_be_done_safely_nothing_is(text: str) -> None:
    with pytest.raises(ValueError, match="by hand"):
        switched(text, "acme", disabled=True)


def test_a_key_that_is_to_say_nothing_stays_away_or_says_so() -> None:
    assert edited("tenant: acme\n", "acme", {"server": "s", "password": None}) == 'tenant: acme\nserver: "s"\n'
    said = edited("tenant: acme\npassword: p\n", "acme", {"server": "s", "password": None})
    assert said == 'tenant: acme\nserver: "s"\npassword: null\n'


HOUSED = "tenant: acme\nkey: 1\nisolation: schema\nschema: acme\nserver_login: acme_rw\npassword: ${env:A}\n"


@pytest.mark.parametrize(
    ("given", "changed"),
    [
        (("postgresql://b@c/d", None), {"server": "postgresql://b@c/d", "password": None}),
        (("postgresql://b@c/d", "${env:B}"), {"server": "postgresql://b@c/d", "password": "${env:B}"}),
        ((None, None, "row"), {"isolation": "row", "schema": None, "server_login": None, "password": None}),
        ((None, None, "rls"), {"isolation": "rls", "schema": None}),
        ((None, "${env:B}", "rls", None, "b"), {
            "isolation": "rls", "schema": None, "server_login": "b", "password": "${env:B}",
        }),
        ((None, None, "schema", "other"), {"schema": "other"}),
        (("postgresql://b@c/d", "${env:B}", "database"), {
            "server": "postgresql://b@c/d", "password": "${env:B}", "isolation": "database", "schema": None,
            "server_login": None,
        }),
    ],
)  # fmt: skip
def test_a_new_home_changes_what_says_where_it_is_and_no_more(given: tuple[Any, ...], changed: dict[str, Any]) -> None:
    text = edited(HOUSED, "acme", home_of(*given))
    assert yaml.safe_load(text) == yaml.safe_load(HOUSED) | changed
    assert edited(text, "acme", home_of(*given)) == text


def test_a_key_comes_with_the_mode_that_needs_it() -> None:
    home = home_of(None, None, "row", keys=keys_of(["7"]))
    text = edited("tenant: acme\nschema: acme\nserver_login: rw\n", "acme", home)
    assert yaml.safe_load(text) == {
        "tenant": "acme", "key": 7, "isolation": "row", "schema": None, "server_login": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    "said",
    [
        "isolation: rls\nserver_login: 'rw'\nkeys: {a: 1, b: '1'}\n",
        'isolation: "rls"   # so\nschema: null\nkeys:\n  b: "1"\n  a: 1\nserver_login: rw\n',
    ],
)
def test_what_is_said_already_in_other_words_stays_as_it_is(said: str) -> None:
    home = home_of(None, None, "rls", None, "rw", {"keys": {"a": 1, "b": "1"}})
    text = f"tenant: acme\n{said}"
    assert edited(text, "acme", home) == text
    assert edited(text.replace("a: 1", "a: true"), "acme", home) != text


def test_what_is_written_behind_a_block_stays() -> None:
    text = "tenant: acme\nkeys:\n  a: 1\n  b: [1, 2] # old\n  # end\n\n# behind\n---\ntenant: globex\n"
    changed = edited(text, "acme", {"keys": {"a": 2}, "key": None, "schema": "s"})
    assert changed == ('tenant: acme\nschema: "s"\nkeys:\n  {"a": 2} # old\n  # end\n\n# behind\n---\ntenant: globex\n')
    with pytest.raises(ValueError, match="by hand"):
        edited(text.replace("1\n", "1 # one\n", 1), "acme", {"keys": {"a": 2}})
