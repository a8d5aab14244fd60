"""Expressions that may throw: on the rows of tenants 1 and 3 (tests/data/traps.sql) nearly always fine, on tenant 2's not.

Each is (name, template, kind of the value); {c} is the column.
"""

from __future__ import annotations

ROWS = "(SELECT p.id FROM products p)"  # more than one, and every tenant's

LOUD: dict[str, tuple[tuple[str, str, str], ...]] = {
    "key": (
        ("divide_by_key", "12 / ({c} - 2)", "int"),
        ("modulo_by_key", "7 % ({c} - 2)", "int"),
        ("rows_of_key", f"CASE WHEN {{c}} = 2 THEN {ROWS} ELSE {{c}} END", "int"),
        ("shape_of_key", "ARRAY[ARRAY['x'], CASE WHEN {c} = 2 THEN ARRAY['a', 'b'] ELSE ARRAY['y'] END]", "matrix"),
        ("root_of_key", "sqrt(4 - 3 * ({c} % 3))::int", "int"),
    ),
    "skey": (
        ("prefix_of_slug", "{c} LIKE 'glob\\'", "bool"),
        ("divide_by_slug", "6 / (1 - ({c} = 'globex')::int)", "int"),
        ("cut_of_slug", "length(substr({c}, 1, 1 - 2 * ({c} >= 'b' AND {c} < 'h')::int))", "int"),
    ),
    "ukey": (("divide_by_uid", "6 / (1 - ({c} = '00000000-0000-4000-8000-000000000002')::int)", "int"),),
    "int": (
        ("divide", "120 / {c}", "int"),
        ("modulo", "120 % {c}", "int"),
        ("rows", f"CASE WHEN {{c}} = 0 THEN {ROWS} ELSE {{c}} END", "int"),
        (
            "shape",
            "ARRAY[ARRAY[1::bigint, 2], CASE WHEN {c} = 0 THEN ARRAY[1::bigint] ELSE ARRAY[1::bigint, {c}] END]",
            "matrix",
        ),
        ("numeric_divide", "1.5 / {c}", "num"),
        ("float_divide", "1 / {c}::float8", "float"),
        ("logarithm", "ln(abs({c})::numeric)", "num"),
    ),
    "text": (
        ("size", "pg_size_bytes({c})", "int"),
        ("to_int", "{c}::int", "int"),
        ("to_bigint", "CAST({c} AS bigint)", "int"),
        ("to_numeric", "{c}::numeric", "num"),
        ("to_float", "{c}::float8", "float"),
        ("to_regclass", "{c}::regclass IS NULL", "bool"),
        ("to_json", "({c})::jsonb IS NULL", "bool"),
        ("to_interval", "{c}::interval < '1 day'", "bool"),
        ("to_domain", "{c}::posint", "int"),
        ("to_array", "('{{' || {c} || '}}')::int[] IS NULL", "bool"),
        ("like_itself", "'x' LIKE {c}", "bool"),
        ("like_backslash", "{c} LIKE 'glob\\'", "bool"),
        ("like_escape", "{c} LIKE 'glob!' ESCAPE '!'", "bool"),
        ("ilike_backslash", "{c} NOT ILIKE 'GLOBEX\\'", "bool"),
        ("regular_expression", "'a' ~ {c}", "bool"),
        ("similar", "'a' SIMILAR TO {c}", "bool"),
        ("any_pattern", "'x' ~ ANY (ARRAY[{c}])", "bool"),
        ("decode", "length(decode(lpad({c}, 8, '0'), 'hex'))", "int"),
        ("substring", "substr({c}, 1, 3 - length({c}))", "text"),
        ("rows_of_text", f"CASE WHEN {{c}} >= 'glo' THEN {ROWS} END", "int"),
        (
            "shape_of_text",
            "ARRAY[ARRAY['x'], CASE WHEN {c} > 'glo' THEN ARRAY['a', 'b'] ELSE ARRAY['y'] END]",
            "matrix",
        ),
    ),
    "num": (
        ("divide_numeric", "2.5 / {c}", "num"),
        ("modulo_numeric", "100 % {c}", "num"),
        ("logarithm_numeric", "ln({c})", "num"),
        ("rows_of_numeric", f"CASE WHEN {{c}} = 0 THEN {ROWS} END", "int"),
    ),
    "float": (
        ("divide_float", "2.5::float8 / {c}", "float"),
        ("logarithm_float", "ln({c})", "float"),
    ),
    "time": (
        ("year", "extract(year FROM {c})::int", "int"),
        ("make_date", "make_date(extract(year FROM {c})::int, 2, 1)", "date"),
        ("epoch", "extract(epoch FROM {c})::bigint", "int"),
    ),
    "date": (
        ("add_days", "{c} + 100", "date"),
        ("to_timestamp", "{c}::timestamp", "time"),
        ("add_interval", "{c} + interval '1 month'", "time"),
    ),
    "json": (
        ("member_to_int", "({c} ->> 'n')::int", "int"),
        ("member_cast", "({c} -> 'm')::int", "int"),
        ("path_to_numeric", "({c} #>> '{{m}}')::numeric", "num"),
        ("member_divides", "60 / (1 + length({c} ->> 'n')::int % 6)", "int"),
    ),
    "array": (
        ("element_to_int", "{c}[1]::int", "int"),
        ("array_shape", "ARRAY[{c}, ARRAY['a', 'b']]", "matrix"),
        ("any_element", "'a' ~ ANY ({c})", "bool"),
    ),
}
# May throw on own rows: {k} is a small number.
OWN: dict[str, tuple[tuple[str, str, str], ...]] = {
    "int": (("own_divide", "10 / ({c} - {k})", "int"), ("own_rows", f"CASE WHEN {{c}} = {{k}} THEN {ROWS} END", "int")),
    "text": (("own_to_int", "(left({c}, {k}) || 'x')::int", "int"),),
    "num": (("own_root", "sqrt({c} - {k})", "num"),),
}
