"""What a tenant may say of a function, procedure or block of code of its own, besides what stands in its body.

The languages are sql and plpgsql. Options are an allow-list: what makes a function act for somebody else, what links it
to a library and what hooks into the planner is refused; SET is what SET may be. Types are the tenant's world's, and
none whose values are looked up as names, nor one that may become such a type at a call.
"""

from __future__ import annotations

from proxy.errors import FeatureNotSupported, InsufficientPrivilege, Refusal
from proxy.sql.aliases import strings
from proxy.sql.classify import SET_HINT
from proxy.sql.naming import is_naming, looks_up
from proxy.sql.nodes import Node
from proxy.sql.paths import require_path
from proxy.sql.settings import allowed_setting, settable
from proxy.sql.world import SYSTEM_SCHEMAS, World

LANGUAGES = ("sql", "plpgsql")
PLAIN = frozenset({
    "as", "cost", "language", "leakproof", "parallel", "rows", "strict", "volatility", "window",
})  # fmt: skip
INVOKER = "It acts as who calls it, which is the same role here: leave SECURITY DEFINER out."
LANGUAGE = "Use sql or plpgsql."
NAME_TYPE = "Name the type itself."
LIKE = "Name the type instead of %TYPE."
# What becomes another type at each call, perhaps one of those.
OPEN_TYPES = frozenset({
    "any", "anyarray", "anycompatible", "anycompatiblearray", "anycompatiblemultirange", "anycompatiblenonarray",
    "anycompatiblerange", "anyelement", "anyenum", "anymultirange", "anynonarray", "anyrange", "cstring", "record",
})  # fmt: skip


def check_options(tree: Node) -> tuple[str, str | None]:
    """The language and the text of the body, None where it is SQL of the statement's own. A Refusal."""
    ((name, body),) = tree.items()
    language, text = "plpgsql" if name == "DoStmt" else "sql" if "sql_body" in body else "", None
    for one in body.get("options", ()) or body.get("args", ()) or body.get("actions", ()):
        option = one["DefElem"]
        what, value = option["defname"], option.get("arg", {})
        if what == "language":
            language = str(value.get("String", {}).get("sval", ""))
        elif what == "as":
            parts = value["List"]["items"] if "List" in value else [value]
            text = str(parts[0]["String"].get("sval", ""))
            if len(parts) != 1:
                raise InsufficientPrivilege("permission denied for language c", hint=LANGUAGE)
        elif what == "security":
            if value.get("Boolean", {}).get("boolval"):
                raise FeatureNotSupported("SECURITY DEFINER is not supported here", hint=INVOKER)
        elif what == "set":
            _check_set(value["VariableSetStmt"])
        elif what not in PLAIN:
            raise FeatureNotSupported("this option of a function is not supported here", hint="Leave it out.")
    if name != "AlterFunctionStmt":
        _check_language(language, name)
    return language, text


def _check_language(language: str, kind: str) -> None:
    if not language:
        raise Refusal("no language specified", sqlstate="42P13")
    if language not in LANGUAGES:
        raise InsufficientPrivilege(f"permission denied for language {language}", hint=LANGUAGE)
    if kind == "DoStmt" and language == "sql":
        raise Refusal('language "sql" does not support inline code execution', sqlstate="0A000")


def _check_set(body: Node) -> None:
    """SET in the function's own options: one setting that a session may have, too."""
    if body.get("kind") in ("VAR_RESET", "VAR_RESET_ALL"):
        return
    name = str(body.get("name", "")).lower()
    values = [one.get("A_Const") for one in body.get("args", ())]
    if body.get("kind") != "VAR_SET_VALUE" or not values or any(one is None for one in values):
        raise FeatureNotSupported("this form of SET is not supported in a function", hint="Write a constant.")
    texts = [_text(one) for one in values if one is not None]
    if name == "search_path":
        require_path(texts)
    elif not settable(name) or not allowed_setting(name, ", ".join(texts)):
        raise InsufficientPrivilege(f'permission denied to set parameter "{name}"', hint=SET_HINT)
    elif name == "default_text_search_config" and any("." in one for one in texts):
        raise FeatureNotSupported("this value is not supported in a function", hint="Write it without a schema.")


def _text(constant: Node) -> str:
    if "sval" in constant:
        return str(constant["sval"].get("sval", ""))
    if "ival" in constant:
        return str(constant["ival"].get("ival", 0))
    return str(constant.get("fval", {}).get("fval", ""))


def check_signature(body: Node, world: World) -> None:
    """A Refusal for a type of a parameter or result that may stand for what names something."""
    for one in body.get("parameters", ()):
        check_type(one["FunctionParameter"]["argType"], world, free=False)
    if "returnType" in body:
        check_type(body["returnType"], world, free=True)


def check_type(body: Node, world: World, *, free: bool) -> None:
    """FeatureNotSupported for such a type, one that is made of one, or a catalog's row. free: a type that is decided
    later may be it, as in a variable.
    """
    names = strings(body["names"])
    location = body.get("location")
    if body.get("pct_type"):
        raise FeatureNotSupported("%TYPE is not supported here", hint=LIKE, location=location)
    schema, name = (names[-2] if len(names) > 1 else None), names[-1]
    plain = name.lstrip("_")
    refused = is_naming(names) or (not free and plain in OPEN_TYPES)
    for one in world.path if schema is None else (schema,):
        found = world.catalog.types_by_name.get((one, plain if one == "pg_catalog" else name))
        if found is not None:
            refused = refused or looks_up(world.catalog, found.oid)
            refused = refused or (bool(found.relation) and found.schema in SYSTEM_SCHEMAS)
            break
    if refused:
        raise FeatureNotSupported(f"type {name} is not supported in a function here", hint=NAME_TYPE, location=location)
