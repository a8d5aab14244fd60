"""Planner: one database's statements become plans; the order of the stations, and nothing else.

plan() never raises for what a client wrote: a refusal is a Reject. An exception that is not a Refusal is a bug and
goes up; nothing is forwarded then. A Forward comes out of _forward only, after verify accepted two different fillings
of its text, so that no plan's safety depends on a tenant's key or on a lifted literal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from proxy.catalog.model import Catalog
from proxy.errors import FeatureNotSupported, Refusal, StatementTooComplex, SyntaxRefused
from proxy.sql.cache import CacheStatistics, PlanCache
from proxy.sql.channels import plan_channel
from proxy.sql.classified import Classified
from proxy.sql.classify import classify, kind_of
from proxy.sql.families import Scene, drafted
from proxy.sql.insertion import require_proved
from proxy.sql.lift import LONGEST, MARK, Lifted, lift
from proxy.sql.liftable import remaining_literals
from proxy.sql.parse import Statement, masked, parse
from proxy.sql.paths import Course, check_settings, classify_path
from proxy.sql.plan import (
    Answer,
    AnswerKind,
    Effects,
    Forward,
    KeyHole,
    Owner,
    Plan,
    PlanContext,
    Planned,
    Preparation,
    Reject,
    StatementKind,
    Template,
)
from proxy.sql.positions import pack
from proxy.sql.prepared import declared_types, refuse_names, require_one_name
from proxy.sql.reading import Reading
from proxy.sql.rejection import rejected
from proxy.sql.render import fill, render
from proxy.sql.restored import restorable
from proxy.sql.schema.effects import beside_others
from proxy.sql.schema.planning import plan_definition
from proxy.sql.schema.read_only import check_effects, check_transaction
from proxy.sql.sequences import draws
from proxy.sql.unroll import Collapsed, baked, collapse, unroll
from proxy.sql.verify import Unproven, verify_fillings
from proxy.sql.whole.calls import Known
from proxy.sql.whole.planning import is_whole, plan_text
from proxy.sql.world import World
from proxy.tenancy.derived import QUERY

SHAPE_BYTES = 2048
MAX_NUMBERS = 50_000  # contexts and parameter types known at a time
MAX_NEAR = 5_000
DEPTH_HINT = "Nest the statement's expressions less deeply."
EMPTY = Answer(StatementKind.EMPTY, AnswerKind.EMPTY)


class Planner:
    """Plans for one database as of one catalog; the cache outlives catalogs because its keys hold their version."""

    def __init__(self, catalog: Catalog, cache: PlanCache | int) -> None:
        """cache: one that other planners have, too, for it gives each of them keys of its own; or bytes."""
        self.catalog = catalog
        self._known = Known.of(catalog)
        self._reading = Reading.of(catalog)
        self._cache = PlanCache(cache) if isinstance(cache, int) else cache
        self._worlds: dict[object, World] = {}
        self._numbers: dict[object, int] = {}  # what keys of the cache are made of
        self._near: dict[tuple[int, tuple[int, ...], bool], tuple[PlanContext, int]] = {}  # by the context's id()

    def statistics(self) -> CacheStatistics:
        return self._cache.statistics()

    def replace_catalog(self, catalog: Catalog) -> None:
        """A newer picture of the database; plans of the older one are never found again, as contexts name their
        version.
        """
        self.catalog = catalog
        self._known = Known.of(catalog)
        self._reading = Reading.of(catalog)
        self._worlds.clear()

    def lookup(
        self, text: bytes, context: PlanContext, parameter_types: Sequence[int] = (), extended: bool = False
    ) -> Planned | None:
        """The plans of a text that was planned before, exactly or in shape; None sends the caller to plan()."""
        key = self._key(context, parameter_types, extended)
        cache = self._cache
        found = cache.get(key, text)
        if found is not None:
            return found
        lifted = None if is_whole(context) else lift(text)
        if lifted is not None:
            found = cache.get_shape(key, lifted)
            if found is not None:
                cache.learn(key, text, lifted)
                return found
            collapsed = collapse(text, lifted)
            if collapsed is not None:
                found = self._unrolled(key, collapsed, lifted, context.owner)
                if found is not None:
                    return found
        cache.missed()
        return None

    def plan(
        self, text: bytes, context: PlanContext, parameter_types: Sequence[int] = (), extended: bool = False
    ) -> Planned:
        """Plans `text` afresh and remembers the answer. Refusals are plans; nothing is raised for bad input."""
        lifted = None if is_whole(context) else lift(text)
        collapsed = collapse(text, lifted) if lifted is not None else None
        if collapsed is not None and lifted is not None:
            self.plan(collapsed.text, context, parameter_types, extended)
            found = self._unrolled(self._key(context, parameter_types, extended), collapsed, lifted, context.owner)
            if found is not None:
                return found
        planned = self._compute(text, context, parameter_types, extended)
        self.remember(text, context, parameter_types, extended, planned)
        return planned

    def compute(
        self, text: bytes, context: PlanContext, parameter_types: Sequence[int] = (), extended: bool = False
    ) -> Planned:
        """plan() without the cache: what a planner process does. A long list is planned with three of its items."""
        if is_whole(context):
            return self._compute(text, context, parameter_types, extended)
        lifted = lift(text, limited=False) if len(text) <= context.policy.statement_size else None
        collapsed = collapse(text, lifted) if lifted is not None else None
        if collapsed is not None and lifted is not None:
            planned = self._compute(collapsed.text, context, parameter_types, extended)
            whole = unroll(planned, collapsed, lifted)
            if whole is not None:
                return whole if len(text) <= LONGEST else baked(whole)
        return self._compute(text, context, parameter_types, extended)

    def _compute(self, text: bytes, context: PlanContext, parameter_types: Sequence[int], extended: bool) -> Planned:
        if is_whole(context):
            return plan_text(text, context, self.catalog, self._known, self._reading, extended)
        lifted = lift(text)
        try:
            policy = context.policy
            most, deepest = policy.statement_size, policy.statement_nesting
            statements = parse(text, size_limit=most, server_major=self.catalog.major, nesting=deepest)
            if extended and len(statements) > 1:
                raise SyntaxRefused("cannot insert multiple commands into a prepared statement")
            refuse_names(parameter_types, self.catalog)
        except Refusal as refusal:
            return Planned((rejected(StatementKind.INVALID, refusal, text),))
        plans: list[Plan] = []
        whole = len(statements) == 1
        course = Course(context)
        for one in statements:
            plans.append(self._plan_statement(one, text, whole, lifted, course, parameter_types))
            course.context = _after(course, plans[-1])
        refused = any(isinstance(one, Reject) for one in plans)
        return Planned(tuple(plans) or (EMPTY,), lifted.literals if lifted else (), _shape(text, lifted, refused))

    def remember(
        self, text: bytes, context: PlanContext, parameter_types: Sequence[int], extended: bool, planned: Planned
    ) -> None:
        """Keeps what compute() made. A refusal is not kept: the next look at the catalog may heal it."""
        if planned.rejection is not None:
            return
        key = self._key(context, parameter_types, extended)
        lifted = None if is_whole(context) else lift(text)
        if lifted is not None and planned.literals == lifted.literals:
            self._cache.put_shape(key, lifted, planned, remaining_literals(planned), context.owner)
        else:
            self._cache.put_exact(key, text, planned, context.owner)

    def _unrolled(self, key: int, collapsed: Collapsed, lifted: Lifted, owner: Owner) -> Planned | None:
        """The plans of a text with a long list, of those that are kept for three of its items."""
        short = lift(collapsed.text)
        found = self._cache.get_shape(key, short) if short is not None else None
        whole = unroll(found, collapsed, lifted) if found is not None else None
        if whole is not None:
            self._cache.put_shape(key, lifted, whole, remaining_literals(whole), owner)
        return whole

    def explain_text(self, planned: Planned, keys: dict[str, str]) -> tuple[str, ...]:
        """The texts that would be sent, filled; for explain and goldens."""
        return tuple(
            fill(plan.template, keys, planned.literals).decode() for plan in planned.plans if isinstance(plan, Forward)
        )

    def _plan_statement(
        self,
        statement: Statement,
        text: bytes,
        whole: bool,
        lifted: Lifted | None,
        course: Course,
        parameter_types: Sequence[int],
    ) -> Plan:
        kind, context = kind_of(statement), course.context
        try:
            course.check(statement.tree)
            reads_only = bool(context.policy.schema) and context.policy.read_only
            if reads_only:
                check_transaction(statement.tree)
            if context.policy.schema:
                made = plan_definition(statement, text, whole, context, self._world(context))
                if made is not None:
                    return made
            classified = classify_path(statement, context) or classify(statement, context.bare)
            check_settings(classified.effects, context.policy)
            if reads_only:
                check_effects(classified.effects.settings)
            answer = classified.answer
            if classified.kind is StatementKind.NOTIFY:
                return plan_channel(classified.tree)
            if answer is not None and answer.answer is not AnswerKind.ADVISORY_UNLOCK_ALL:
                return answer
            if "PrepareStmt" in classified.tree:
                return self._prepare(statement, classified, lifted, context)
            sent = self._forward(classified, lifted, context, parameter_types)
            return sent if answer is None else replace(answer, sent=sent)
        except Refusal as refusal:
            return rejected(kind, refusal, text, _reason(refusal))
        except RecursionError:
            return rejected(kind, StatementTooComplex("stack depth limit exceeded", hint=DEPTH_HINT), text)

    def _prepare(
        self, statement: Statement, classified: Classified, lifted: Lifted | None, context: PlanContext
    ) -> Forward:
        """PREPARE, and the plan of what the name stands for."""
        body = statement.tree["PrepareStmt"]
        types = declared_types(body, self._world(context))
        inner = classify(replace(statement, tree=body["query"]))
        if inner.answer is not None:
            raise FeatureNotSupported("this statement cannot be prepared", hint="Send it as it is.")
        plan = self._forward(inner, lifted, context, types)
        outer = self._forward(classified, lifted, context, types)
        asked_now = tuple(one for one in outer.checks if not isinstance(one.value, int))
        effects = Effects(prepares=Preparation(body["name"], types, plan))
        return replace(outer, effects=effects, checks=asked_now, reads=False)

    def _forward(
        self,
        classified: Classified,
        lifted: Lifted | None,
        context: PlanContext,
        parameter_types: Sequence[int],
    ) -> Forward:
        """What any family's statement goes through: a Forward is made here, of what was proved."""
        draft = drafted(classified, Scene(self._world(context), lifted, parameter_types))
        if context.policy.schema:
            draft = beside_others(draft, self._world(context), self._known)
        rendered = render(draft.tree)
        template = rendered.template
        effects = replace(draft.effects, draws=True) if draws(template) else draft.effects
        restore = restorable(draft.tree, self._world(context)) if context.policy.behind_rls else None
        positions = pack(rendered.positions, rendered.holes, lifted)
        if effects.executes is not None or "PrepareStmt" in draft.tree:
            require_one_name(template)
        require_proved(draft.copy, template)
        if draft.proved:
            literals = lifted.literals if lifted else ()
            fillings = [(fill(template, keys, literals).decode(), keys) for keys in _sample_keys(template)]
            verify_fillings(fillings, context, self.catalog)
        return Forward(
            classified.kind,
            template,
            effects,
            draft.rewritten,
            draft.tag,
            draft.rules,
            positions,
            draft.checks,
            copy=draft.copy,
            fenced="row.boundary" in draft.rules,
            tells_text=KeyHole(QUERY) in template.holes,
            names=draft.names,
            reads=self._reading.only(classified.kind, draft.tree, effects, draft.copy),
            restore=restore,
        )

    def _key(self, context: PlanContext, parameter_types: Sequence[int], extended: bool) -> int:
        """A number for everything that a plan depends on besides the text: equal numbers, equal dependencies."""
        types = tuple(parameter_types)
        near = self._near.get((id(context), types, extended))
        if near is not None and near[0] is context:
            return near[1]
        full = (context.identity, types, extended)
        found = self._numbers.get(full)
        if found is None:
            if len(self._numbers) >= MAX_NUMBERS:
                # the numbers go on: what was kept under the old ones is never found again, and ages out
                self._numbers.clear()
            found = self._numbers[full] = self._cache.number()
        if len(self._near) >= MAX_NEAR:
            self._near.clear()
        self._near[id(context), types, extended] = (context, found)
        return found

    def _world(self, context: PlanContext) -> World:
        identity = (context.policy.policy_class, context.search_path)
        world = self._worlds.get(identity)
        if world is None:
            world = self._worlds[identity] = World(context.policy, self.catalog, context.search_path)
        return world.with_temporary(context.temporary)


def _after(course: Course, plan: Plan) -> PlanContext:
    """The context of the next statement of a text."""
    if not isinstance(plan, Forward):
        return course.context
    course.follow(plan.effects)
    context = course.context
    if plan.effects.creates is None and not plan.effects.drops:
        return context
    gone = plan.effects.drops
    kept = tuple(one for one in context.temporary if one.name not in gone and "" not in gone)
    made = () if plan.effects.creates is None else (plan.effects.creates,)
    return replace(context, temporary=(*kept, *made))


def _sample_keys(template: Template) -> tuple[dict[str, str], dict[str, str]]:
    """Two fillings that no real key equals; verify must accept both, so the text is confined whatever the key. Quoted,
    both are of one length, so that the same things stand at the same places.
    """
    names = {hole.key for hole in template.holes if isinstance(hole, KeyHole)}
    return {name: f"a:-{name}" for name in names}, {name: f"b'{name}" for name in names}


def _reason(refusal: Refusal) -> tuple[str, ...]:
    """What the verifier could not prove; for audit and explain."""
    return (f"verify: {refusal.__cause__}",) if isinstance(refusal.__cause__, Unproven) else ()


def _shape(text: bytes, lifted: Lifted | None, refused: bool) -> str:
    """What audit may know of the text: no literals. Where the lifter bailed out, only a refused one's is looked for."""
    if lifted is not None:
        return MARK.sub(b"?", lifted.shape)[:SHAPE_BYTES].decode("utf-8", "replace")
    return masked(text, SHAPE_BYTES) if refused else ""
