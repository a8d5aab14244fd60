"""Layers: one tenant's picture of a database, made of a part of its own over a part that all tenants there share.

The shared part (the server's catalogs, shared schemas) stands in memory once, however many pictures lie over it; what
the catalog derives is derived once for it, too. A picture holds its own tenant's part and the shared one and no other.
Pure values; neighbours.py reads the parts. Both parts must be of one database, and the shared one has no own schema.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any, TypeVar

from proxy.catalog.model import Cast, Catalog, Collation, Function, Operator, Relation, Type

K = TypeVar("K")
V = TypeVar("V")
Named = TypeVar("Named", bound="Function | Operator")


class Layered(Mapping[K, V]):
    """What is in `own`, and what is in `shared` under other keys."""

    __slots__ = ("_own", "_shared")

    def __init__(self, own: Mapping[K, V], shared: Mapping[K, V]) -> None:
        self._own = own
        self._shared = shared

    def __getitem__(self, key: K) -> V:
        own = self._own
        return own[key] if key in own else self._shared[key]

    def get(self, key: K, default: Any = None) -> Any:
        """Quicker than Mapping's, which raises and catches."""
        own = self._own
        return own[key] if key in own else self._shared.get(key, default)

    def __contains__(self, key: object) -> bool:
        return key in self._own or key in self._shared

    def __iter__(self) -> Iterator[K]:
        own = self._own
        return chain(own, (key for key in self._shared if key not in own))

    def __len__(self) -> int:
        own, shared = self._own, self._shared
        return len(shared) + sum(key not in shared for key in own)


@dataclass(frozen=True)
class Part:
    """What is in one tenant's schema. casts: from or to a type of its own."""

    schema: str
    relations: Mapping[tuple[str, str], Relation]
    types: Mapping[int, Type]
    functions: Mapping[str, tuple[Function, ...]]
    operators: Mapping[str, tuple[Operator, ...]]
    casts: Mapping[tuple[int, int], Cast]
    collations: Mapping[int, Collation]
    present: bool = True  # is there such a schema?


@dataclass(frozen=True)
class LayeredCatalog(Catalog):
    """A tenant's; made by layered()."""

    shared: Catalog | None = None
    own: Part | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        assert self.shared is not None
        assert self.own is not None
        return layered, (self.shared, self.own, self.version)

    @cached_property
    def relations_by_oid(self) -> Mapping[int, Relation]:
        shared, own = self._parts
        return Layered({one.oid: one for one in own.relations.values()}, shared.relations_by_oid)

    @cached_property
    def types_by_name(self) -> Mapping[tuple[str, str], Type]:
        shared, own = self._parts
        return Layered({(one.schema, one.name): one for one in own.types.values()}, shared.types_by_name)

    @cached_property
    def collations_by_name(self) -> Mapping[tuple[str, str], Collation]:
        shared, own = self._parts
        return Layered({(one.schema, one.name): one for one in own.collations.values()}, shared.collations_by_name)

    @cached_property
    def functions_by_oid(self) -> Mapping[int, Function]:
        shared, own = self._parts
        mine = {one.oid: one for many in own.functions.values() for one in many}
        return Layered(mine, shared.functions_by_oid)

    @cached_property
    def ordering_names(self) -> frozenset[str]:
        shared, own = self._parts
        mine = frozenset(
            name for name, many in own.operators.items() if any(one.oid in self.ordering_operators for one in many)
        )
        return shared.ordering_names | mine if mine else shared.ordering_names

    @cached_property
    def built_in_operators(self) -> Mapping[tuple[str, int, int], Operator]:
        return self._parts[0].built_in_operators

    @cached_property
    def own_operators(self) -> Mapping[str, tuple[Operator, ...]]:
        shared, own = self._parts
        return Layered(_together(own.operators, shared.own_operators), shared.own_operators)

    @property
    def _parts(self) -> tuple[Catalog, Part]:
        assert self.shared is not None
        assert self.own is not None
        return self.shared, self.own


def layered(shared: Catalog, own: Part, version: int) -> LayeredCatalog:
    """The picture of the tenant whose part this is, numbered `version`."""
    return LayeredCatalog(
        version=version,
        server_version=shared.server_version,
        database=shared.database,
        relations=Layered(own.relations, shared.relations),
        types=Layered(own.types, shared.types),
        functions=Layered(_together(own.functions, shared.functions), shared.functions),
        operators=Layered(_together(own.operators, shared.operators), shared.operators),
        casts=Layered(own.casts, shared.casts),
        collations=Layered(own.collations, shared.collations),
        ordering_operators=shared.ordering_operators,
        schemas=shared.schemas | {own.schema} if own.present else shared.schemas,
        extensions=shared.extensions,
        bypassing=shared.bypassing,
        shared=shared,
        own=own,
    )


def _together(
    own: Mapping[str, tuple[Named, ...]], shared: Mapping[str, tuple[Named, ...]]
) -> dict[str, tuple[Named, ...]]:
    """The own names, each with all that have it, in the order of their numbers."""
    return {name: tuple(sorted((*shared.get(name, ()), *many), key=lambda one: one.oid)) for name, many in own.items()}
