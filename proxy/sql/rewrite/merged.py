"""Merged: USING and NATURAL compare columns without an expression that could be guarded, so every pair must be
comparable in silence (isolation.md 2.5, rule 5)."""

from __future__ import annotations

from proxy.errors import FeatureNotSupported
from proxy.sql.rewrite.edit import Edit


def check_merged_columns(edit: Edit) -> None:
    """Raise FeatureNotSupported for a pair of unlike or unknown types."""
    silence = edit.analysis.silence
    for level in edit.analysis.levels:
        for join in level.joins:
            if not join.merged:
                continue
            if join.pairs is None or not all(
                silence.operator_comparable(["="], one, other) for one, other in join.pairs
            ):
                raise FeatureNotSupported(
                    "the columns that USING or NATURAL compares are not known to be of like types",
                    hint="Use ON instead.",
                )
