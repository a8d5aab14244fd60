"""Sample: TABLESAMPLE is taken before any predicate, so its size and choice would depend on other tenants' rows.
Only all of them is allowed."""

from __future__ import annotations

from proxy.errors import FeatureNotSupported
from proxy.sql.rewrite.edit import Edit
from proxy.sql.types import node


def refuse_samples(edit: Edit) -> None:
    """Raise FeatureNotSupported for every TABLESAMPLE but BERNOULLI or SYSTEM (100)."""
    for level in edit.analysis.levels:
        for source in level.sources:
            body = source.item.get("RangeTableSample")
            if body is None:
                continue
            method = [one["String"]["sval"] for one in body.get("method", [])]
            arguments = body.get("args", [])
            name, constant = node(arguments[0]) if len(arguments) == 1 else ("", {})
            if name == "A_Const":
                edit.sensitive.add(int(constant.get("location", 0)))
            whole = name == "A_Const" and constant.get("ival", {}).get("ival") == 100
            if not whole or method[-1] not in ("bernoulli", "system") or method[:-1] not in ([], ["pg_catalog"]):
                raise FeatureNotSupported("TABLESAMPLE is supported for 100 percent only")
