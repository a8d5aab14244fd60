"""Alembic's migrations as two tenants with schemas of their own, side by side: upgrade, downgrade, functions and
triggers in a revision, a revision that Alembic finds out by itself, and SQL that is written to a file first.
"""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from psycopg.conninfo import conninfo_to_dict

from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.schemas import empty_schemas, schema_rules

TENANTS = ("acme", "globex")
TABLES = "SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class WHERE relnamespace = '{}'::regnamespace"

ENVIRONMENT = """
from alembic import context
from sqlalchemy import create_engine, pool

config = context.config
url = config.get_main_option("sqlalchemy.url")
metadata = config.attributes.get("metadata")
shared = {"countries", "names"}  # on the path, as they would be in a database of one's own
if context.is_offline_mode():
    context.configure(url=url, target_metadata=metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()
else:
    with create_engine(url, poolclass=pool.NullPool).connect() as connection:
        context.configure(connection=connection, target_metadata=metadata,
                          include_name=lambda name, kind, parents: name not in shared)
        with context.begin_transaction():
            context.run_migrations()
"""
TEMPLATE = '''
"""${message}"""
from alembic import op
import sqlalchemy as sa
${imports if imports else ""}
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = depends_on = None


def upgrade():
    ${upgrades if upgrades else "pass"}


def downgrade():
    ${downgrades if downgrades else "pass"}
'''
FIRST = '''
"""Tables, keys, an enum, an index with an expression, comments."""
from alembic import op
import sqlalchemy as sa

revision, down_revision = "a1", None


def upgrade():
    op.create_table(
        "account",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(80), nullable=False, comment="as it is written"),
        sa.Column("plan", sa.Enum("free", "paid", name="plan"), nullable=False, server_default="free"),
        sa.Column("made", sa.DateTime(timezone=True), server_default=sa.func.now()),
        sa.UniqueConstraint("name", name="uq_account_name"),
        comment="who pays",
    )
    op.create_table(
        "invoice",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("account_id", sa.Integer, sa.ForeignKey("account.id", ondelete="CASCADE"), nullable=False),
        sa.Column("total", sa.Numeric(12, 2), sa.CheckConstraint("total >= 0", name="ck_total")),
        sa.Column("data", sa.JSON),
    )
    op.create_index("ix_lower", "account", [sa.text("lower(name)")])
    op.bulk_insert(sa.table("account", sa.column("name", sa.String)), [{"name": "one"}, {"name": "two"}])


def downgrade():
    op.drop_table("invoice")
    op.drop_table("account")
    op.execute("DROP TYPE plan")
'''
SECOND = '''
"""Columns that change, a function, a trigger, a view."""
from alembic import op
import sqlalchemy as sa

revision, down_revision = "b2", "a1"


def upgrade():
    with op.batch_alter_table("invoice") as batch:
        batch.add_column(sa.Column("number", sa.Text))
        batch.alter_column("total", existing_type=sa.Numeric(12, 2), type_=sa.Numeric(14, 2), nullable=False,
                           server_default="0")
    op.execute("UPDATE invoice SET number = 'N' || id")
    op.alter_column("account", "made", new_column_name="created")
    op.create_check_constraint("ck_name", "account", "length(name) > 0")
    op.execute("""
        CREATE FUNCTION numbered() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF NEW.number IS NULL THEN NEW.number := 'N' || NEW.id; END IF;
            RETURN NEW;
        END $$
    """)
    op.execute("CREATE TRIGGER numbered BEFORE INSERT ON invoice FOR EACH ROW EXECUTE FUNCTION numbered()")
    op.execute("CREATE VIEW paying AS SELECT a.name, sum(i.total) AS total FROM account a JOIN invoice i"
               " ON i.account_id = a.id GROUP BY a.name")
    op.execute("DO $$ BEGIN INSERT INTO invoice (account_id, total) SELECT id, 5 FROM account; END $$")


def downgrade():
    op.execute("DROP VIEW paying")
    op.execute("DROP TRIGGER numbered ON invoice")
    op.execute("DROP FUNCTION numbered()")
    op.drop_constraint("ck_name", "account")
    op.alter_column("account", "created", new_column_name="made")
    op.drop_column("invoice", "number")
'''


def model() -> sa.MetaData:
    """What the application has come to by now: a table and a column more than the second revision."""
    metadata = sa.MetaData()
    sa.Table(
        "account",
        metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(80), nullable=False, comment="as it is written"),
        sa.Column("plan", sa.Enum("free", "paid", name="plan"), nullable=False, server_default="free"),
        sa.Column("created", sa.DateTime(timezone=True), server_default=sa.func.now()),
        sa.Column("country", sa.String(2)),
        sa.UniqueConstraint("name", name="uq_account_name"),
        sa.Index("ix_lower", sa.text("lower(name)")),
        comment="who pays",
    )
    sa.Table(
        "invoice",
        metadata,
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("account_id", sa.Integer, sa.ForeignKey("account.id", ondelete="CASCADE"), nullable=False),
        sa.Column("total", sa.Numeric(14, 2), nullable=False, server_default="0"),
        sa.Column("data", sa.JSON),
        sa.Column("number", sa.Text),
    )
    sa.Table(
        "payment",
        metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("invoice_id", sa.BigInteger, sa.ForeignKey("invoice.id"), nullable=False, index=True),
    )
    return metadata


@pytest.fixture
def empty(server: Cluster) -> Iterator[str]:
    with empty_schemas(server, "to_upgrade", TENANTS) as name:
        yield name


@pytest.fixture
def proxy(server: Cluster, empty: str) -> Iterator[Proxy]:
    with running_proxy(server.port, rules=schema_rules(server.port, empty, tenants=TENANTS)) as proxy:
        yield proxy


def url(dsn: str) -> sa.URL:
    parts = conninfo_to_dict(dsn)
    return sa.URL.create(
        "postgresql+psycopg",
        str(parts["user"]),
        str(parts["password"]),
        str(parts["host"]),
        int(str(parts["port"])),
        str(parts["dbname"]),
    )


def scripts(folder: Path, address: sa.URL) -> Config:
    """A project of Alembic's, as one application has it for all tenants."""
    (folder / "versions").mkdir(parents=True)
    for name, text in {"env.py": ENVIRONMENT, "script.py.mako": TEMPLATE}.items():
        (folder / name).write_text(text, "utf-8")
    for name, text in {"a1_first.py": FIRST, "b2_second.py": SECOND}.items():
        (folder / "versions" / name).write_text(text, "utf-8")
    config = Config(stdout=io.StringIO(), output_buffer=io.StringIO())
    config.set_main_option("script_location", str(folder))
    config.set_main_option("path_separator", "os")
    config.set_main_option("sqlalchemy.url", address.render_as_string(hide_password=False))
    config.attributes["metadata"] = model()
    return config


def migrated(folder: Path, address: sa.URL, tenant: str) -> None:
    """There, back, there again, and a step that Alembic finds out; rows between."""
    config = scripts(folder, address)
    command.upgrade(config, "head")
    command.downgrade(config, "a1")
    command.upgrade(config, "head")
    command.downgrade(config, "base")
    command.upgrade(config, "head")
    command.revision(config, "what is new", autogenerate=True, rev_id="c3")
    (made,) = (folder / "versions").glob("c3_*.py")
    text = made.read_text("utf-8")
    assert "create_table('payment'" in text
    assert "add_column('account'" in text
    assert "drop_" not in text.partition("def downgrade")[0]
    command.upgrade(config, "head")
    command.check(config)
    engine = sa.create_engine(address, poolclass=sa.NullPool)
    with engine.begin() as connection:
        told = MigrationContext.configure(connection, opts={"include_name": lambda name, *_: name != "countries"})
        assert compare_metadata(told, model()) == []
        connection.execute(sa.text("INSERT INTO account (name) VALUES (:name)"), {"name": tenant})
        connection.execute(sa.text("INSERT INTO invoice (account_id, total) SELECT max(id), 7 FROM account"))
        numbers = connection.execute(sa.text("SELECT number FROM invoice ORDER BY id")).scalars().all()
        assert numbers == ["N1", "N2", "N3"]
        total = sa.text("SELECT total FROM paying WHERE name = :name")
        assert connection.execute(total, {"name": tenant}).scalar() == 7


def test_two_tenants_migrate_side_by_side(server: Cluster, empty: str, proxy: Proxy, tmp_path: Path) -> None:
    for tenant in TENANTS:
        migrated(tmp_path / tenant, url(proxy.dsn(f"{tenant}_app")), tenant)
    tables = [server.psql(empty, TABLES.format(tenant)) for tenant in TENANTS]
    assert tables[0] == tables[1]
    assert "alembic_version" in tables[0]
    for tenant in TENANTS:
        assert server.psql(empty, f"SELECT version_num FROM {tenant}.alembic_version").strip() == "c3"
        names = server.psql(empty, f"SELECT name FROM {tenant}.account ORDER BY id").split()
        assert names == ["one", "two", tenant]


def test_what_is_written_to_a_file_first_is_sent_as_one_text(
    server: Cluster, empty: str, proxy: Proxy, tmp_path: Path
) -> None:
    """alembic upgrade --sql, for whoever reviews it."""
    address = url(proxy.dsn("acme_app"))
    config = scripts(tmp_path / "acme", address)
    command.upgrade(config, "head", sql=True)
    buffer = config.output_buffer
    assert isinstance(buffer, io.StringIO)
    with proxy.connect("acme_app") as client:
        exchange = client.simple(buffer.getvalue())
        assert exchange.errors == []
        assert client.simple("SELECT number FROM invoice ORDER BY id").rows == [(b"N1",), (b"N2",)]


def test_both_migrate_at_one_time(empty: str, proxy: Proxy, server: Cluster, tmp_path: Path) -> None:
    """By the command, each as a process of its own."""
    running = []
    for tenant in TENANTS:
        address = url(proxy.dsn(f"{tenant}_app"))
        scripts(tmp_path / tenant, address)
        file = tmp_path / f"{tenant}.ini"
        text = address.render_as_string(hide_password=False)
        file.write_text(f"[alembic]\nscript_location = {tmp_path / tenant}\nsqlalchemy.url = {text}\n", "utf-8")
        line = [sys.executable, "-m", "alembic", "-c", str(file), "upgrade", "head"]
        running.append(subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
    for one in running:
        told, _ = one.communicate(timeout=120)
        assert one.returncode == 0, told
    tables = {server.psql(empty, TABLES.format(one)) for one in TENANTS}
    assert len(tables) == 1
    assert "invoice" in tables.pop()
