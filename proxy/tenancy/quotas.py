"""The shape of what rule files say about quotas, of a tenant and of a login, and the limits that they become.

A login's are a budget of its own besides the tenant's, and its own times and sizes of one statement instead of the
tenant's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from proxy.tenancy.policy import CLASSES, ClassLimits, Limits
from proxy.tenancy.values import Duration, Size, Strict

Count = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
StatementClass = Literal["read", "write", "ddl", "copy"]

# Limits that can be told instead of enforced; those of a class with its name in front: write.statements_per_second.
CAN_WARN = frozenset({
    "concurrent_statements", "statements_per_second", "rows_per_minute", "bytes_per_minute",
    "received_bytes_per_minute", "server_time_per_hour", "planning_time_per_minute", "result_rows", "result_bytes",
})  # fmt: skip
# Limits at which statements can wait for their turn instead of being refused.
CAN_WAIT = CAN_WARN - {"planning_time_per_minute", "result_rows", "result_bytes"}
COUNTED = (
    "concurrent_statements", "statements_per_second", "statement_burst", "rows_per_minute", "bytes_per_minute",
    "received_bytes_per_minute", "server_time_per_hour", "planning_time_per_minute", "classes",
)  # fmt: skip
CLASSES_CAN_WARN = frozenset({"concurrent_statements", "statements_per_second"})


class ClassQuotas(Strict):
    """Limits of one class of statements."""

    concurrent_statements: Count | None = None
    statements_per_second: Rate | None = None
    statement_burst: Count | None = None


class LoginQuotas(Strict):
    """Limits that a login may have as well as a tenant; None: it has none of its own."""

    can_warn: ClassVar[frozenset[str]] = CAN_WARN

    connections: Count | None = None
    concurrent_statements: Count | None = None
    statements_per_second: Rate | None = None
    statement_burst: Count | None = None
    rows_per_minute: Count | None = None
    bytes_per_minute: Size | None = None
    received_bytes_per_minute: Size | None = None
    server_time_per_hour: Duration | None = None
    planning_time_per_minute: Duration | None = None
    result_rows: Count | None = None
    result_bytes: Size | None = None
    statement_timeout: Duration | None = None
    transaction_timeout: Duration | None = None
    idle_in_transaction_timeout: Duration | None = None
    classes: dict[StatementClass, ClassQuotas] | None = None
    warn: list[str] | None = None
    wait: list[str] | None = None

    @model_validator(mode="after")
    def _built(self) -> Self:
        for key, names, those, what in (
            ("warn", self.warn, self.can_warn, "that can only warn"),
            ("wait", self.wait, CAN_WAIT, "at which statements can wait"),
        ):
            for name in names or ():
                kind, dot, limit = name.rpartition(".")
                if (kind not in CLASSES or limit not in CLASSES_CAN_WARN) if dot else name not in those:
                    raise ValueError(f"{key}: {name} is no limit {what}")
        both = set(self.warn or ()) & set(self.wait or ())
        if both:
            raise ValueError(f"wait: {min(both)} only warns")
        return self


class Quotas(LoginQuotas):
    """Limits of one tenant; None: what the defaults say."""

    can_warn: ClassVar[frozenset[str]] = CAN_WARN | {"storage"}

    server_connections: Count | None = None
    share: Rate | None = None
    min_pool_size: Annotated[int, Field(ge=0)] | None = None
    reserve_pool_size: Annotated[int, Field(ge=0)] | None = None
    reserve_pool_timeout: Duration | None = None
    query_wait_timeout: Duration | None = None
    query_wait_notify: Duration | None = None
    statement_size: Size | None = None
    statement_nesting: Count | None = None
    session_memory: Size | None = None
    plan_cache_bytes: Size | None = None
    storage: Size | None = None

    def uncounted(self) -> Self:
        """Without what is counted over time and at one time: for who must not be refused for how often it asks."""
        return self.model_copy(update=dict.fromkeys(COUNTED))


def limits_of(own: LoginQuotas, defaults: Quotas | None = None) -> Limits:
    """What the tenant says, else the defaults, else the program's own. Without defaults: a login's own and no other."""
    given: dict[str, Any] = {} if defaults is not None else {"connections": None, "server_connections": None}
    for quotas in (defaults, own):
        if quotas is not None:
            given |= {name: value for name in type(quotas).model_fields if (value := getattr(quotas, name)) is not None}
    if own.classes is not None or (defaults is not None and defaults.classes is not None):
        given["classes"] = _classes(None if defaults is None else defaults.classes, own.classes)
    for key in {"warn", "wait"} & given.keys():
        given[key] = frozenset(given[key])
    return Limits(**given)


def _classes(*those: Mapping[StatementClass, ClassQuotas] | None) -> dict[str, ClassLimits]:
    """Each key of each class by itself; the last that says it counts."""
    found: dict[str, dict[str, Any]] = {}
    for classes in those:
        for name, quotas in (classes or {}).items():
            found.setdefault(name, {}).update(quotas.model_dump(exclude_none=True))
    return {name: ClassLimits(**values) for name, values in found.items()}
