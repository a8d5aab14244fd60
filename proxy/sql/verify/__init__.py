"""The independent verifier: the text that would be sent is parsed afresh and proved to be confined, or refused.

It shares no code with scope, resolve, rewrite or permit, so that one bug cannot blind both; it is simpler and
stricter, because it need accept only what the rewriter makes. What it proves, level by level: every relation is
qualified and one that policy shows; every use of a tenant relation has `alias.column = key` where it confines; every
new row has the key; no condition that may throw runs unguarded on rows of others; derived tables are boundaries where
that is needed; catalogs stand in their confined form. Source: isolation.md 2.1 and 2.5. What it takes on trust: types
of derived columns, and that a verified view deserves the word.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from proxy.catalog.model import Catalog
from proxy.errors import FeatureNotSupported
from proxy.sql.parse import grammar_of, statements_in
from proxy.sql.plan import PlanContext
from proxy.sql.verify.alike import same_but_keys
from proxy.sql.verify.catalogs import Expected
from proxy.sql.verify.channels import check_channel
from proxy.sql.verify.incoming import stand_in
from proxy.sql.verify.levels import Unproven
from proxy.sql.verify.locks import check_lock, is_lock
from proxy.sql.verify.merge import WholeProof
from proxy.sql.verify.names import check_rows, check_types, check_values
from proxy.sql.verify.relations import Relations
from proxy.sql.verify.sequences import check_numbers
from proxy.sql.verify.tables import defines, prove
from proxy.sql.verify.wrappers import query_of

HINT = "Write the statement in another way, for example with simpler conditions or without nesting."


def verify_fillings(
    fillings: Sequence[tuple[str, Mapping[str, str]]],
    context: PlanContext,
    catalog: Catalog,
) -> None:
    """FeatureNotSupported unless each text, filled with its keys, is confined to the rows with these keys."""
    proved: str | None = None
    first: Mapping[str, str] = {}
    for text, keys in fillings:
        grammar = _read(text)
        if proved is None or not same_but_keys(proved, grammar, first, keys):
            _prove(_statement(grammar, text, catalog), context, catalog, keys)
        if proved is None:
            proved, first = grammar, keys


def verify(text: str, context: PlanContext, catalog: Catalog, keys: Mapping[str, str]) -> None:
    """FeatureNotSupported unless `text`, filled with `keys`, is confined to the rows with these keys."""
    _prove(_statement(_read(text), text, catalog), context, catalog, keys)


def _prove(tree: dict[str, Any], context: PlanContext, catalog: Catalog, keys: Mapping[str, str]) -> None:
    try:
        relations = Relations(context.policy, catalog, context.temporary)
        check_types(tree, relations)
        if defines(tree):
            prove(tree, relations)
            return
        copied = tree.get("CopyStmt", {})
        query = stand_in(copied, relations, keys) if "relation" in copied else query_of(tree, context.policy.explain)
        if copied.get("is_from") and "relation" in copied and context.policy.schema:
            check_rows(copied["relation"], relations)
        if is_lock(query):
            check_lock(query, relations)
        else:
            WholeProof(relations, Expected(context, catalog, keys), keys).statement(query)
            if context.policy.schema:
                check_values(query, relations)
            if "per_tenant" in context.policy.sequences.values() and "relation" not in copied:
                check_numbers(query, relations)
    except Unproven as reason:
        raise FeatureNotSupported("statement cannot be confined", detail=None, hint=HINT) from reason


def _read(text: str) -> str:
    encoded = text.encode()
    return grammar_of(encoded, size_limit=len(encoded) + 1)


def _statement(grammar: str, text: str, catalog: Catalog) -> dict[str, Any]:
    statements = statements_in(grammar, text.encode(), server_major=catalog.major)
    if len(statements) != 1:
        raise FeatureNotSupported("statement cannot be confined", hint=HINT) from Unproven("more than one statement")
    return statements[0].tree


def verify_channel(text: str, name: str, keys: dict[str, str]) -> None:
    """FeatureNotSupported unless a NOTIFY, filled with `keys`, is of the tenant's own channel."""
    try:
        check_channel(text, name, keys)
    except Unproven as reason:
        raise FeatureNotSupported("statement cannot be confined", detail=None, hint=HINT) from reason


__all__ = ["Unproven", "verify", "verify_channel", "verify_fillings"]
