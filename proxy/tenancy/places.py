"""Which places two tenants may share, and what they may not have in common there.

Tenants of shared tables differ in their keys, by whatever names the rules call the database. A tenant with a database
of its own shares neither that database nor the role it is served by with anybody, a tenant with a schema of its own
neither that nor its role, and a tenant behind policies not its role: that decides which rows there are, and what one
role may do to its own sessions at a server (see them, cancel them) it may do in every database there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from proxy.tenancy.policy import Grant, Policy
from proxy.tenancy.rulebook import GrantKey, classified
from proxy.tenancy.values import canonical


def shared_places(grants: Iterable[Grant]) -> Iterator[tuple[Grant, Grant, str]]:
    """Every tenant with a database or schema of its own that shares what with whom: (its grant, the other's, what)."""
    found: dict[tuple[str, int, str, str], list[Grant]] = {}
    for grant in grants:
        server = grant.server
        schema = f"{server.database} {grant.policy.schema}" if grant.policy.schema else ""
        for what, name in (("database", server.database), ("role", server.role), ("schema", schema)):
            if not name:
                continue
            for host, port in server.addresses:
                found.setdefault((host.lower(), port, what, name), []).append(grant)
    told: set[tuple[str, str, str]] = set()
    for (_, _, what, _), together in found.items():
        own = next((one for one in together if _has_its_own(one.policy, what)), None)
        other = next((one for one in together if own is not None and one.tenant != own.tenant), None)
        if own is not None and other is not None and (own.tenant, other.tenant, what) not in told:
            told.add((own.tenant, other.tenant, what))
            yield own, other, what


def beside_policies(grants: Iterable[Grant]) -> Iterator[tuple[str, str]]:
    """Databases of the rules whose tenants come to tables with policies by a role that is not theirs, and would see no
    row: (its name, that of the other at the same place).
    """
    behind: dict[tuple[str, int, str], str] = {}
    open_to_all: dict[tuple[str, int, str], str] = {}
    for grant in grants:
        if grant.policy.shares_tables:
            found = behind if grant.policy.behind_rls else open_to_all
            for place in _addresses(grant):
                found.setdefault(place, grant.database)
    yield from sorted({(name, behind[place]) for place, name in open_to_all.items() if place in behind})


def contested_schemas(grants: Iterable[Grant]) -> Iterator[tuple[str, str]]:
    """Schemas of tenants' own in which those with rows in the same database have theirs, or that its rules name: (the
    tenant, that database by its name in the rules). Nothing there would exist for these (beside_schemas).
    """
    own: dict[tuple[str, int, str, str], str] = {}
    used: dict[tuple[str, int, str, str], set[str]] = {}
    seen: set[tuple[str, tuple[tuple[str, int, str], ...]]] = set()  # tenants share few policies
    for grant in grants:
        policy, places = grant.policy, _addresses(grant)
        if policy.schema:
            own |= {(*place, policy.schema): grant.tenant for place in places}
        if not policy.shares_tables or (policy.policy_class, tuple(places)) in seen:
            continue
        seen.add((policy.policy_class, tuple(places)))
        named = [schema for (schema, _), rule in policy.relations.items() if rule.access != "hidden"]
        for schema in {*policy.path, *named, *(one.schema for one in policy.functions)}:
            for place in places:
                used.setdefault((*place, schema), set()).add(grant.database)
    yield from sorted({(own[place], name) for place, names in used.items() if place in own for name in names})


def beside_schemas(grants: Mapping[GrantKey, Grant]) -> dict[GrantKey, Grant]:
    """The grants, of which those to shared tables know what other tenants have for themselves in the same database: it
    is none of what is shared, whatever its columns are called and whoever was given rights to it.
    """
    own: dict[tuple[str, int, str], list[tuple[str, str]]] = {}
    for grant in grants.values():
        if grant.policy.schema:
            for place in _addresses(grant):
                own.setdefault(place, []).append((grant.policy.schema, grant.server.role))
    found, made = dict(grants), dict[tuple[str, tuple[tuple[str, int, str], ...]], Policy]()
    for key, grant in grants.items() if own else ():
        places = tuple(one for one in _addresses(grant) if one in own)
        if not grant.policy.shares_tables or not places:
            continue
        policy = made.get((grant.policy.policy_class, places))
        if policy is None:
            pairs = [pair for place in places for pair in own[place]]
            schemas, roles = (frozenset(some) for some in zip(*pairs, strict=True))
            policy = classified(replace(grant.policy, own_schemas=schemas, own_roles=roles))
            made[grant.policy.policy_class, places] = policy
        found[key] = replace(grant, policy=policy)
    return found


def _addresses(grant: Grant) -> list[tuple[str, int, str]]:
    return [(host.lower(), port, grant.server.database) for host, port in grant.server.addresses]


def _has_its_own(policy: Policy, what: str) -> bool:
    return policy.isolation == "database" if what == "database" else policy.own_role


def shared_keys(grants: Iterable[Grant]) -> Iterator[tuple[Grant, Grant, str]]:
    """Every two tenants that would be one, because they have a key in common in one database of a server that the rules
    call by several names: (its grant, the other's, the key's name). Of one name, load tells.
    """
    found: dict[tuple[str, int, str, str, str], Grant] = {}
    told: set[tuple[str, str]] = set()
    for grant in grants:
        if not grant.policy.shares_tables:
            continue
        for name, value in grant.keys.items():
            if name.startswith("$"):  # derived
                continue
            for place in _addresses(grant):
                first = found.setdefault((*place, name, canonical(value)), grant)
                pair = grant.tenant, first.tenant
                if first.tenant != grant.tenant and first.database != grant.database and pair not in told:
                    told.add(pair)
                    yield grant, first, name
