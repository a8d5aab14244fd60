"""Which column of a tenant's tables is masked, and how; or every reason why a masking file cannot be followed.

Promises: a column that the file does not name is refused unless it says otherwise; a name that is no table or column is
refused; the tenant's own keys stay; what foreign keys tie together gets the same mask, so that references hold; a
column that must be unique gets a mask under which it stays so. Only foreign keys say what belongs together, but a
pseudonym of the same value is the same everywhere. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from proxy.backup.fakes import SHORTEST_EMAIL, fake
from proxy.backup.masking import Constant, Fake, MaskingFile
from proxy.backup.pieces import NULL, field_of, value_of
from proxy.backup.pseudonyms import Pseudonyms
from proxy.backup.refusal import Refused
from proxy.backup.rekeying import Pair, Place, pairs
from proxy.backup.selection import Kept, references
from proxy.catalog.model import Catalog, Column
from proxy.tenancy.values import qualified_name

UNIQUE_TEXT = 16  # hexadecimal digits without which two values could get one
FAMILIES = {
    25: "text", 1043: "text", 1042: "text", 19: "text", 21: "integer", 23: "integer", 20: "integer", 1700: "numeric",
    700: "float", 701: "float", 1082: "date", 1114: "moment", 1184: "moment", 2950: "uuid", 17: "binary",
}  # fmt: skip
PADDED, NAME, LONGEST_NAME = 1042, 19, 63
BELOW = {21: 1 << 15, 23: 1 << 31, 20: 1 << 63}

Word = str | Fake | Constant
Change = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class Shape:
    """What values a column takes. limit: of text characters, of integers one more than the greatest, of moments digits
    of seconds. like: how values that the server holds equal become one: "" | padded | caseless."""

    family: str
    limit: int | None = None
    like: str = ""


@dataclass(frozen=True, slots=True)
class Cover:
    """changes: for each table, in the order it was given in, what is done to which of its columns by their place."""

    changes: tuple[tuple[tuple[int, Change], ...], ...]

    @property
    def columns(self) -> int:
        """How many are masked."""
        return sum(len(one) for one in self.changes)


def cover(
    rules: MaskingFile, catalog: Catalog, kept: Sequence[Kept], schema: str, typmods: Mapping[int, int], key: Pseudonyms
) -> Cover:
    """schema: of the tenant's own, which a name without one is in; "": public. typmods: of domains, by type. Refused
    with everything that does not fit."""
    return _Covering(rules, catalog, kept, schema or "public", typmods, key).done()


class _Covering:
    def __init__(
        self,
        rules: MaskingFile,
        catalog: Catalog,
        kept: Sequence[Kept],
        schema: str,
        typmods: Mapping[int, int],
        key: Pseudonyms,
    ) -> None:
        self._rules, self._catalog, self._kept, self._schema = rules, catalog, kept, schema
        self._typmods, self._key = typmods, key
        self._problems: list[str] = []
        self._columns: dict[Place, Column] = {
            (number, column.name): column for number, one in enumerate(kept) for column in one.columns
        }
        links = list(references(catalog, tuple(kept)))
        self._linked: list[Pair] = [one for one in pairs(links) if one[0] in self._columns and one[1] in self._columns]
        self._referenced = {right for _, right in self._linked}
        self._referencing = {left for left, _ in self._linked}
        self._outside = {
            (one.child, left)
            for one in links
            if one.child is not None and one.parent is None
            for left, _ in one.columns
        }
        self._masks: dict[Place, Word] = {}
        self._made: dict[Place, Change] = {}

    def done(self) -> Cover:
        self._listed()
        for group in self._groups():
            self._group(group)
        if self._problems:
            raise Refused(self._problems)
        return Cover(
            tuple(
                tuple(
                    (place, self._made[number, column.name])
                    for place, column in enumerate(one.columns)
                    if (number, column.name) in self._made
                )
                for number, one in enumerate(self._kept)
            )
        )

    def _listed(self) -> None:
        there = {one.at: number for number, one in enumerate(self._kept)}
        for title, columns in self._rules.tables.items():
            at = qualified_name(title)
            number = there.get((self._schema, at[1]) if at[0] == "public" and at not in there else at)
            if number is None:
                self._problems.append(f"{title} is no table of the tenant")
                continue
            for name, mask in columns.items():
                column = self._kept[number].relation.column(name)
                if (number, name) in self._columns:
                    self._masks[number, name] = "null" if mask is None else mask
                elif column is not None:
                    self._problems.append(f"{title}.{name} is computed by the server, from what is masked")
                else:
                    self._problems.append(f"{title} has no column {name}")

    def _groups(self) -> Iterator[list[Place]]:
        """Columns that foreign keys tie together; most are alone."""
        beside: dict[Place, set[Place]] = {}
        for left, right in self._linked:
            beside.setdefault(left, set()).add(right)
            beside.setdefault(right, set()).add(left)
        told: set[Place] = set()
        for first in self._columns:
            if first not in told:
                group = [first]
                for one in group:
                    group += [other for other in sorted(beside.get(one, ())) if other not in group]
                told.update(group)
                yield group

    def _title(self, place: Place) -> str:
        relation = self._kept[place[0]].relation
        return f"{'' if relation.schema == self._schema else relation.schema + '.'}{relation.name}.{place[1]}"

    def _group(self, group: Sequence[Place]) -> None:
        given = {one: self._masks[one] for one in group if one in self._masks}
        if any(self._kept[number].column == self._columns[number, name] for number, name in group):
            self._problems += [
                f"{self._title(one)} holds the tenant's key, which becomes the other's"
                for one, mask in given.items()
                if mask != "keep"
            ]
            return
        before = len(self._problems)
        cut = [one for one, mask in given.items() if mask == "null" or isinstance(mask, Constant)]
        for one in cut:
            self._cut(one, given[one])
        if len(self._problems) > before:
            return
        rest = [one for one in group if one not in cut]
        masks = {one: mask for one, mask in given.items() if one in rest}
        if rest and not masks:
            self._unlisted(rest)
        if set(masks.values()) <= {"keep"}:
            return
        if len(set(masks.values())) > 1:
            names = ", ".join(self._title(one) for one in masks)
            self._problems.append(f"{names} are tied by foreign keys, and need the same mask; naming one is enough")
            return
        mask = next(iter(masks.values()))
        if shared := [self._title(one) for one in rest if one in self._outside]:
            self._problems.append(f"{', '.join(shared)} references a table that is not the tenant's: keep it, or null")
        elif (shape := self._shape(rest, mask)) is not None:
            for one in rest:
                self._made[one] = self._change(one, self._maker(mask, shape))

    def _unlisted(self, group: Sequence[Place]) -> None:
        if self._rules.unlisted == "refuse":
            first = [one for one in group if one not in self._referencing] or group[:1]
            self._problems += [f"{self._title(one)} is not listed" for one in first]

    def _cut(self, place: Place, mask: Word) -> None:
        title = self._title(place)
        if mask == "null":
            if self._columns[place].not_null:
                self._problems.append(f"{title} may not be NULL")
            elif place in self._referenced:
                self._problems.append(f"{title} is referenced by others, which would lead nowhere")
            self._made[place] = lambda _: NULL
            return
        assert isinstance(mask, Constant)
        if self._unique(place):
            self._problems.append(f"{title} must be unique, and cannot be the same in every row")
        elif place in self._referenced or place in self._referencing:
            self._problems.append(f"{title} is tied by foreign keys: mask it by hash, or null")
        constant = field_of(str(mask.set))
        self._made[place] = lambda field: field if field == NULL else constant

    def _unique(self, place: Place) -> bool:
        number = self._columns[place].number
        return any(number in key.columns for key in self._kept[place[0]].relation.keys)

    def _shape(self, group: Collection[Place], mask: Word) -> Shape | None:
        """What fits all of them under a mask; None with a problem told."""
        shapes = {one: self._of(self._columns[one]) for one in group}
        before = len(self._problems)
        for one, shape in shapes.items():
            title = self._title(one)
            if shape is None or (isinstance(mask, Fake) and shape.family != "text"):
                how = "hash" if mask == "hash" else "fake"
                self._problems.append(f"{title} has a type that {how} does not know: keep it, null it or set it")
            elif self._unique(one) and (why := _doubled(mask, shape)):
                self._problems.append(f"{title} must be unique: {why}")
        found = [one for one in shapes.values() if one is not None]
        if len(self._problems) == before and len({(one.family) for one in found}) > 1:
            names = ", ".join(self._title(one) for one in group)
            self._problems.append(f"{names} are tied by foreign keys, and have types that cannot be masked alike")
        if len(self._problems) > before:
            return None
        limits = [one.limit for one in found if one.limit is not None]
        likes = sorted({one.like for one in found})
        return replace(found[0], limit=min(limits, default=None), like=likes[-1])

    def _of(self, column: Column) -> Shape | None:
        one, typmod = self._catalog.types.get(column.type), column.typmod
        while one is not None and one.kind == "d":
            typmod = self._typmods.get(one.oid, -1) if typmod < 0 else typmod
            one = self._catalog.types.get(one.base)
        if one is None:
            return None
        if one.name == "citext" and one.extension == "citext":
            return Shape("text", like="caseless")
        family = FAMILIES.get(one.oid)
        if family is None:
            return None
        if family == "text":
            limit = LONGEST_NAME if one.oid == NAME else None
            return Shape(family, typmod - 4 if typmod > 4 else limit, "padded" if one.oid == PADDED else "")
        if family == "moment":
            return Shape(family, 6 if typmod < 0 else typmod)
        return Shape(family, BELOW.get(one.oid))

    def _maker(self, mask: Word, shape: Shape) -> Callable[[str], str]:
        key, limit = self._key, shape.limit
        if isinstance(mask, Fake):
            kind = mask.fake
            return lambda value: fake(kind, key.digest(_like(value, shape)), len(value), limit)
        match shape.family:
            case "text":
                return lambda value: key.text(_like(value, shape), limit)
            case "integer" | "numeric" | "float":
                return lambda value: key.number(value, limit)
            case "date":
                return key.date
            case "moment":
                return lambda value: key.moment(value, 6 if limit is None else limit)
            case "uuid":
                return key.uuid
            case _:
                return key.binary

    def _change(self, place: Place, make: Callable[[str], str]) -> Change:
        title = self._title(place)

        def change(field: bytes) -> bytes:
            if field == NULL:
                return field
            try:
                return field_of(make(value_of(field)))
            except ValueError:
                raise Refused([f"{title} has a value that cannot be masked so: null it or set it"]) from None

        return change


def _like(value: str, shape: Shape) -> str:
    if shape.like == "caseless":
        return value.lower()
    return value.rstrip(" ") if shape.like == "padded" else value


def _doubled(mask: Word, shape: Shape) -> str:
    """Why two values could get one mask; "" where they cannot."""
    if isinstance(mask, Fake):
        if mask.fake != "email":
            return "mask it by hash, or fake: email"
        return "" if shape.limit is None or shape.limit >= SHORTEST_EMAIL else "it is too short for an e-mail address"
    if shape.family == "text" and shape.limit is not None and shape.limit < UNIQUE_TEXT:
        return f"it is too short for {UNIQUE_TEXT} digits of a hash"
    return "a hash of what is rounded may not be" if shape.family == "float" else ""
