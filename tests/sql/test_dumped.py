"""pg_dump's text for the tenant's role: what is left out, what stays to the byte, and names that are no guess."""

from __future__ import annotations

import pytest

from proxy.sql.dumped import Fitted, Key, Unfit, fitted

OPERATORS = (
    "ALTER TABLE globex.t OWNER TO postgres",
    'ALTER FUNCTION "x y".f(integer, text) OWNER TO "some one"',
    "GRANT ALL ON TABLE globex.t TO PUBLIC",
    "REVOKE USAGE ON SCHEMA public FROM PUBLIC",
    "ALTER DEFAULT PRIVILEGES FOR ROLE a IN SCHEMA public GRANT SELECT ON TABLES TO b",
    "CREATE EVENT TRIGGER one ON ddl_command_end EXECUTE FUNCTION public.f()",
    "ALTER EVENT TRIGGER one DISABLE",
    "COMMENT ON EVENT TRIGGER one IS 'x; y'",
    "CREATE PUBLICATION all_of_it FOR ALL TABLES",
    "ALTER PUBLICATION all_of_it ADD TABLE ONLY public.t",
    "CREATE SUBSCRIPTION s CONNECTION 'host=elsewhere' PUBLICATION p WITH (connect = false)",
    "COMMENT ON EXTENSION pgcrypto IS 'cryptographic functions'",
    "SECURITY LABEL FOR x ON TABLE t IS 'y'",
    "CREATE SCHEMA globex",
    'CREATE SCHEMA "globex"',
    "COMMENT ON SCHEMA globex IS 'theirs'",
)
STAYING = (
    "CREATE SCHEMA another",
    "COMMENT ON SCHEMA another IS 'theirs'",
    "CREATE EXTENSION IF NOT EXISTS pgcrypto WITH SCHEMA public",
    "CREATE FUNCTION globex.f() RETURNS text LANGUAGE sql AS $$SELECT ';GRANT x TO y;' -- ALTER TABLE t OWNER TO x; $$",
    "CREATE FUNCTION globex.g() RETURNS text LANGUAGE sql BEGIN ATOMIC SELECT 'a;'; SELECT 'ALTER t OWNER TO x;'; END",
    "CREATE RULE r AS ON INSERT TO globex.t DO ALSO (DELETE FROM globex.u; SELECT 1)",
    "COMMENT ON TABLE globex.t IS 'ALTER TABLE t OWNER TO x'",
    'CREATE TABLE globex.grants ("grant" text DEFAULT \'é; GRANT\'::text, "owner to x" int)',
    "ALTER TABLE ONLY globex.t ALTER COLUMN owner SET DEFAULT 1",
    "SELECT pg_catalog.set_config('search_path', '', false)",
)


@pytest.mark.parametrize("statement", OPERATORS)
def test_what_is_the_operators_is_left_out_and_its_neighbours_stay(statement: str) -> None:
    text = f"-- one; two\nSELECT 1;\n{statement};\nSELECT 2;\n"
    assert fitted(text, {"globex"}) == Fitted("-- one; two\nSELECT 1;\n\nSELECT 2;\n")


def test_all_else_stays_to_the_byte() -> None:
    text = ";\n".join([*STAYING, ""])
    assert fitted(text, {"globex"}, "globex", "globex") == Fitted(text)


def test_a_schema_gets_its_name_wherever_an_object_is_named_and_nowhere_else() -> None:
    text = """CREATE TYPE globex.mood AS ENUM ('globex.a', 'b'); -- globex.x
CREATE TABLE "globex".t (id integer DEFAULT nextval('globex.t_id_seq'::regclass),
    m globex.mood DEFAULT 'b'::globex.mood,
    n text DEFAULT 'globex.t'::text CHECK (globex.f(n) <> 'globex'), o integer DEFAULT length('globex.t'));
CREATE VIEW globex.v AS SELECT t.id FROM globex.t WHERE t.n OPERATOR(globex.=) 'é';
COMMENT ON SCHEMA globex IS 'globex';
"""
    expected = """CREATE TYPE "new co".mood AS ENUM ('globex.a', 'b'); -- globex.x
CREATE TABLE "new co".t (id integer DEFAULT nextval('"new co".t_id_seq'::regclass),
    m "new co".mood DEFAULT 'b'::"new co".mood,
    n text DEFAULT 'globex.t'::text CHECK ("new co".f(n) <> 'globex'), o integer DEFAULT length('globex.t'));
CREATE VIEW "new co".v AS SELECT t.id FROM "new co".t WHERE t.n OPERATOR("new co".=) 'é';

"""
    assert fitted(text, {"globex"}, "globex", "new co") == Fitted(expected)
    quoted = """CREATE TABLE "it's".t (id integer DEFAULT nextval('"it''s".t_id_seq'::regclass));"""
    named = """CREATE TABLE "o'".t (id integer DEFAULT nextval('"o''".t_id_seq'::regclass));"""
    assert fitted(quoted, (), "it's", "o'") == Fitted(named)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE VIEW globex.v AS SELECT globex.a FROM globex.t globex",
        "CREATE VIEW globex.v AS SELECT globex.a FROM globex.globex",
        "CREATE TABLE globex.t (globex integer)",
        'CREATE TABLE globex.t ("globex" integer)',
    ],
)
def test_a_name_that_could_be_another_things_is_no_guess(statement: str) -> None:
    with pytest.raises(Unfit, match="the schema's name, globex, is that of something else in it, too"):
        fitted(f"{statement};", {"globex"}, "globex", "newco")
    assert fitted(f"{statement};", {"globex"}, "globex", "globex").text == f"{statement};"


TO_SHARED = 'ALTER TABLE ONLY globex.a ADD CONSTRAINT "F;" FOREIGN KEY (g, "H""") REFERENCES "ref".countries(code, n)'
TOLD = (
    'ALTER TABLE ONLY "newco"."a" ADD CONSTRAINT "F;" FOREIGN KEY ("g", "H""") REFERENCES "ref"."countries"'
    ' ("code", "n") {}NOT VALID;'
)
# What an operator would run if it were told as it stands, or what is no tenant's to propose.
NO_SUCH_KEYS = (
    "ALTER TABLE ONLY globex.a ADD CONSTRAINT b FOREIGN KEY (c) REFERENCES globex.d(e)",
    "ALTER TABLE ONLY globex.a ADD CONSTRAINT b FOREIGN KEY (c) REFERENCES other.d(e)",
    "ALTER TABLE ONLY other.a ADD CONSTRAINT b FOREIGN KEY (c) REFERENCES ref.d(e)",
    "ALTER TABLE ONLY globex.a ADD CONSTRAINT b FOREIGN KEY (c) REFERENCES ref.d(e), ADD CHECK (globex.f())",
    "ALTER TABLE ONLY globex.a ADD CONSTRAINT b FOREIGN KEY (c) REFERENCES ref.d(e) ON DELETE SET NULL (c)",
    "ALTER TABLE globex.a ADD x int DEFAULT globex.f(), ADD CONSTRAINT b FOREIGN KEY (c) REFERENCES ref.d(e)",
    "ALTER TABLE globex.a ADD FOREIGN KEY (c) REFERENCES ref.d(e)",
    "ALTER TABLE globex.a ADD CONSTRAINT b FOREIGN KEY (c) REFERENCES ref.d",
    'ALTER TABLE globex.a ADD CONSTRAINT U&"b" FOREIGN KEY (c) REFERENCES ref.d(e)',
    "ALTER TABLE globex.a ADD CONSTRAINT b FOREIGN KEY (c, PERIOD d) REFERENCES ref.d(e, PERIOD f)",
    "ALTER TABLE globex.a ADD CONSTRAINT b FOREIGN KEY",
    "ALTER TABLE globex.a ADD CONSTRAINT b FOREIGN KEY (c",
    "ALTER TABLE",
    "COMMENT ON CONSTRAINT b ON globex.a IS 'x'",
)


@pytest.mark.parametrize("how", ["", "MATCH FULL ON UPDATE CASCADE ON DELETE NO ACTION DEFERRABLE ", "NOT VALID"])
def test_a_foreign_key_to_a_shared_table_is_left_out_with_its_comment_and_told(how: str) -> None:
    remark = """COMMENT ON CONSTRAINT "F;" ON globex.a IS 'x';"""
    text = f"SELECT 1;\n{TO_SHARED} {how};\n{remark}\nSELECT 2;\n"
    found = fitted(text, {"globex"}, "globex", "newco", {"ref"})
    key = Key("a", "F;", ("g", 'H"'), TOLD.format(how.removesuffix("NOT VALID")))
    assert found == Fitted("SELECT 1;\n\n\nSELECT 2;\n", (key,))


@pytest.mark.parametrize("statement", NO_SUCH_KEYS)
def test_what_is_not_exactly_such_a_key_stays_for_the_server_to_refuse(statement: str) -> None:
    assert fitted(f"{statement};", {"globex"}, "globex", "globex", {"ref"}) == Fitted(f"{statement};")


def test_what_is_no_sql_is_told() -> None:
    with pytest.raises(Unfit, match="the definitions are no SQL: "):
        fitted("CREATE TABLE 'x", ())
