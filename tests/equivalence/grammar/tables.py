"""What the generated statements name: the relations of schema.sql and odd-types.sql, their columns by kind.

A kind says what an expression may do with a value, not how it is stored: `key` is an integer that tells the tenant,
`skey` a text and `ukey` a uuid that do.
"""

from __future__ import annotations

from dataclasses import dataclass

_COLUMNS = {
    "users": "tenant_id:key id:int email:text name:text role:text is_active:bool manager_id:int prefs:json tags:array"
    " password_hash:text created_at:time",
    "customers": "tenant_id:key id:int name:text email:text city:text credit:num created_at:time",
    "orders": "tenant_id:key id:int customer_id:int user_id:int status:enum amount:num qty:int secret:text note:text"
    " meta:json amount_cents:int placed_at:time version:int",
    "order_items": "tenant_id:key order_id:int line:int product_id:int qty:int price:num",
    "audit_log": "tenant_id:key at:time tbl:text op:text row_id:text",
    "accounts": "id:int tenant_id:key owner:text balance:num",
    "transfers": "tenant_id:key from_id:int to_id:int amount:num",
    "coupons": "code:word tenant_id:key pct:int uses:int",
    "bookings": "tenant_id:key room:int during:range",
    "notes": "tenant:skey id:int body:text author:text updated_at:time",
    "documents": "tenant_uid:ukey id:int title:text body:text tsv:lexemes",
    "events": "tenant_id:key id:int kind:text payload:json at:time",
    "events_2024": "tenant_id:key id:int kind:text payload:json at:time",
    "metrics": "tenant_id:key day:date name:word value:float",
    "assets": "tenant_id:key id:int label:text cost:num",
    "vehicles": "tenant_id:key id:int label:text cost:num plate:text wheels:int",
    "Order Details": "TenantId:key Id:int select:text",
    "tenants": "id:key slug:skey uid:ukey name:word plan:word",
    "odd": "tenant_id:key id:int k:text body:text jb:json dbl:float big:int num:num c1:text ts:time tsz:time d:date"
    " arr:array ok:bool q:int",
    "listed": "tenant_id:key id:int note:text secret:text amount:num",
    "products": "id:int category_id:int sku:word name:word price:num attrs:attrs",
    "categories": "id:int parent_id:int name:word",
    "open_orders": "tenant_id:key id:int customer_id:int amount:num status:enum",
    "order_totals": "tenant_id:key customer_id:int n:int total:num",
    "mv_order_stats": "tenant_id:key status:enum n:int total:num",
    "odd_loud": "tenant_id:key id:int k:text body:text n:int sz:int",
}
SHARED = frozenset({"products", "categories"})
VIEWS = frozenset({"open_orders", "order_totals", "mv_order_stats", "odd_loud"})
COMPLETE = frozenset(_COLUMNS) - {"users", "audit_log", "transfers", "odd"}  # every column stands above, in its order
KINDS = {
    "int": "int4", "text": "text", "num": "numeric", "float": "float8", "bool": "bool", "time": "timestamptz",
    "date": "date", "json": "jsonb", "array": "text[]", "enum": "order_status", "ukey": "uuid", "key": "int4",
    "skey": "text", "word": "text",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class Table:
    """A relation as a statement may name it."""

    name: str
    columns: tuple[Column, ...]

    @property
    def source(self) -> str:
        return "shared" if self.name in SHARED else "view" if self.name in VIEWS else "table"

    @property
    def key(self) -> Column:
        return next(one for one in self.columns if one.kind in ("key", "skey", "ukey"))


def quoted(name: str) -> str:
    """The name as SQL writes it."""
    plain = name.isidentifier() and name == name.lower() and name != "select"
    return name if plain else f'"{name}"'


def _table(name: str, text: str) -> Table:
    pairs = [one.split(":") for one in text.split()]
    return Table(name, tuple(Column(column, kind) for column, kind in pairs))


TABLES = {name: _table(name, text) for name, text in _COLUMNS.items()}
OFTEN = ("orders", "customers", "users", "odd", "notes", "order_items", "events", "documents", "metrics")


@dataclass(frozen=True, slots=True)
class Item:
    """A FROM item whose columns can be named. source: what it is made of, for the counters."""

    alias: str
    columns: tuple[Column, ...]
    source: str
    table: Table | None = None


@dataclass(slots=True)
class Scope:
    """What an expression can name: the items of its level, and those of the enclosing ones, nearest first."""

    items: list[Item]
    outer: list[Item]

    def inner(self) -> Scope:
        """The scope of a sub-link."""
        return Scope([], [*self.items, *self.outer])
