"""Django as two tenants: introspection as inspectdb and migrate use it, and the ORM, by both of psycopg's protocols.

The same is asked of a private database, and must be answered alike. Models leave the tenant column out, and the proxy
fills it; or have it, and give nothing or their own key.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import django
import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connections, models, transaction
from django.db.utils import IntegrityError, ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from tests.equivalence.compare import FIRST_USER_OID
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy

TENANTS = {"acme_app": 1, "globex_app": 2}
TABLES = ("customers", "orders", "order_items", "products", "users", "metrics", "open_orders")

settings.configure(
    DATABASES={},
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "tests.drivers"],
    USE_TZ=True,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
)
django.setup()


class Customer(models.Model):
    id = models.IntegerField(primary_key=True)
    name = models.TextField()
    city = models.TextField(null=True)
    credit = models.DecimalField(max_digits=12, decimal_places=2, default=Decimal(0))
    created_at = models.DateTimeField(db_default=models.functions.Now())

    class Meta:
        app_label, db_table, managed = "drivers", "customers", False


class Order(models.Model):
    id = models.IntegerField(primary_key=True)
    customer = models.ForeignKey(Customer, models.DO_NOTHING, related_name="orders")
    status = models.TextField(db_default="new")
    amount = models.DecimalField(max_digits=12, decimal_places=2, default=Decimal(0))
    note = models.TextField(null=True)
    meta = models.JSONField(default=dict)

    class Meta:
        app_label, db_table, managed = "drivers", "orders", False


class Asset(models.Model):
    """With the tenant column, which the database fills; both columns are the key."""

    pk = models.CompositePrimaryKey("tenant_id", "id")
    tenant_id = models.IntegerField(db_default=models.Value(0))
    id = models.IntegerField()
    label = models.TextField()

    class Meta:
        app_label, db_table, managed = "drivers", "assets", False


@contextmanager
def database(dsn: str, *, prepared: bool) -> Iterator[str]:
    """The alias of one more database of Django's."""
    parts = conninfo_to_dict(dsn)
    entry = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts["dbname"],
        "USER": parts["user"],
        "PASSWORD": parts.get("password", ""),
        "HOST": parts["host"],
        "PORT": parts["port"],
        "TIME_ZONE": "Europe/Zurich",
        "OPTIONS": {"server_side_binding": prepared},
    }
    alias = f"{parts['user']}-{parts['dbname']}"
    connections.settings[alias] = connections.configure_settings({"default": {}, alias: entry})[alias]
    try:
        yield alias
    finally:
        connections[alias].close()
        delattr(connections._connections, alias)
        del connections.settings[alias]


@pytest.fixture(params=TENANTS)
def login(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=[False, True], ids=["bound by the client", "bound by the server"])
def both(shared_server: Cluster, proxy: Proxy, login: str, request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """The aliases of the tenant behind the proxy, and of its private database."""
    private = shared_server.dsn("app", f"private{TENANTS[login]}")
    with (
        database(proxy.dsn(login), prepared=request.param) as seen,
        database(private, prepared=request.param) as own,
    ):
        yield seen, own


def inspected(alias: str, *tables: str) -> str:
    said = io.StringIO()
    call_command("inspectdb", *tables, database=alias, stdout=said)
    # a column of several foreign keys: which of them Django shows is the order of its unordered query
    return re.sub(r"(tenant = models\.ForeignKey)\(.*", r"\1", said.getvalue())


def test_inspectdb_writes_the_models_of_a_private_database(both: tuple[str, str]) -> None:
    seen, own = (inspected(alias, *TABLES) for alias in both)
    assert seen == own
    assert "class Orders(models.Model):" in seen
    assert "# Unable to inspect" not in seen


def test_inspectdb_of_everything_shows_what_policy_shows(both: tuple[str, str]) -> None:
    seen, own = (inspected(alias) for alias in both)
    assert "LeakyStats" not in seen
    shown = {line for line in seen.splitlines() if line.startswith("class ")}
    assert "class Orders(models.Model):" in shown
    assert shown < {line for line in own.splitlines() if line.startswith("class ")} | {"class LeakyStats"}


def introspected(alias: str) -> dict[str, list[Any]]:
    inspection, found = connections[alias].introspection, {}
    with connections[alias].cursor() as cursor:
        for table in TABLES:
            found[table] = [
                [comparable(one) for one in inspection.get_table_description(cursor, table)],
                inspection.get_relations(cursor, table).keys(),
                inspection.get_constraints(cursor, table),
                inspection.get_primary_key_columns(cursor, table),
                inspection.get_sequences(cursor, table),
            ]
    return found


def comparable(column: Any) -> Any:
    """Without the default by which a private database fills the tenant column, and numbers that a database counts."""
    if column.name == "tenant_id":
        column = column._replace(default=None)
    return column._replace(type_code=min(column.type_code, FIRST_USER_OID))


def test_columns_relations_and_constraints_are_a_private_databases(both: tuple[str, str]) -> None:
    seen, own = (introspected(alias) for alias in both)
    assert seen == own


def test_a_plan_of_migrations_is_made(both: tuple[str, str]) -> None:
    plans = []
    for alias in both:
        said = io.StringIO()
        call_command("migrate", plan=True, database=alias, stdout=said, no_color=True)
        call_command("showmigrations", database=alias, stdout=said, no_color=True)
        plans.append(said.getvalue())
    assert plans[0] == plans[1]
    assert "contenttypes.0001_initial" in plans[0]
    assert " [ ] 0001_initial" in plans[0]


def used(alias: str) -> list[Any]:
    """What a little application finds while it reads and writes; nothing stays."""
    customers, orders, assets = (one.objects.using(alias) for one in (Customer, Order, Asset))
    found: list[Any] = []
    with transaction.atomic(using=alias):
        found.append(list(orders.order_by("pk").values_list("pk", "status", "amount", "customer__name")))
        found.append([one.customer.name for one in orders.select_related("customer").order_by("pk")[:5]])
        found.append(orders.aggregate(models.Sum("amount"), models.Count("pk", distinct=True)))
        found.append(list(customers.annotate(n=models.Count("orders")).filter(n__gt=1).order_by("pk").values()))
        found.append(
            list(customers.filter(orders__amount__gt=10, name__icontains="a").distinct().order_by("pk").values())
        )
        found.append([len(one.orders.all()) for one in customers.prefetch_related("orders").order_by("pk")])
        found.append([one.pk for one in orders.filter(pk__in=range(1, 30)).order_by("pk").iterator(chunk_size=2)])
        made = customers.create(pk=901, name="made", credit=Decimal("1.50"))
        customers.bulk_create([Customer(pk=number, name=f"c{number}") for number in (902, 903)])
        orders.create(pk=901, customer=made, note="x", meta={"a": [1]})
        found.append(list(orders.filter(customer=made, meta__a__0=1).values_list("pk", "status", "meta")))
        found.append(customers.filter(pk__gte=902).update(credit=models.F("credit") + 5))
        found.append(customers.get_or_create(pk=902, defaults={"name": "other"})[1])
        found.append(customers.update_or_create(pk=904, defaults={"name": "fourth"})[1])
        made.name = "renamed"
        made.save()
        found.append(list(customers.filter(pk__gte=901).order_by("pk").values("pk", "name", "credit")))
        with pytest.raises(IntegrityError), transaction.atomic(using=alias):
            customers.bulk_create([Customer(pk=901, name="again")])
        found.append(orders.select_for_update().get(pk=901).note)
        found.append(orders.filter(pk=901).delete()[0])
        found.append([orders.filter(pk=1).exists() for _ in range(7)])
        assets.create(id=901, label="with the tenant column")
        found.append(list(assets.filter(id=901).values_list("tenant_id", "label")))
        transaction.set_rollback(True, using=alias)
    found.append(customers.filter(pk__gte=901).count())
    found.append([one.pk for one in orders.order_by("pk").iterator(chunk_size=7)])  # a cursor WITH HOLD
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT DISTINCT tenant_id, current_setting('TimeZone') FROM customers")
        found.append(cursor.fetchall())
    return found


def test_the_orm_reads_and_writes_the_tenants_rows_as_in_a_private_database(both: tuple[str, str], login: str) -> None:
    seen, own = (used(alias) for alias in both)
    assert seen == own
    assert seen[-1] == [(TENANTS[login], "Europe/Zurich")]


def test_the_applications_own_key_is_taken_and_another_tenants_is_refused(both: tuple[str, str], login: str) -> None:
    own, other = TENANTS[login], 3
    for alias in both:
        assets = Asset.objects.using(alias)
        with transaction.atomic(using=alias):
            assets.create(tenant_id=own, id=902, label="x")
            assert list(assets.filter(id=902).values_list("tenant_id", "label")) == [(own, "x")]
            transaction.set_rollback(True, using=alias)
    seen = both[0]
    with pytest.raises(ProgrammingError, match="row-level security"):
        Asset.objects.using(seen).create(tenant_id=other, id=903, label="x")
    assert not Asset.objects.using(seen).filter(id__in=(902, 903)).exists()


def test_a_hidden_relation_does_not_exist(both: tuple[str, str]) -> None:
    with connections[both[0]].cursor() as cursor, pytest.raises(ProgrammingError, match="does not exist"):
        cursor.execute("SELECT * FROM leaky_stats")
