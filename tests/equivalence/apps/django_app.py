"""A little shop on Django's ORM: lists, filters, reports, changes and transactions."""

from __future__ import annotations

import datetime as dt
import sys
from decimal import Decimal

import django
from django.conf import settings
from django.db import models, transaction
from django.db.models import Avg, Case, Count, Exists, F, Max, OuterRef, Prefetch, Q, Subquery, Sum, Value, When, Window
from django.db.models.functions import Coalesce, Lower, Rank, TruncMonth
from psycopg.conninfo import conninfo_to_dict

parts = conninfo_to_dict(sys.argv[1])
settings.configure(
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": parts["dbname"],
            "USER": parts["user"],
            "PASSWORD": parts.get("password", ""),
            "HOST": parts["host"],
            "PORT": parts["port"],
            "OPTIONS": {"server_side_binding": "--bound" in sys.argv},
            "DISABLE_SERVER_SIDE_CURSORS": True,
        }
    },
    INSTALLED_APPS=["tests.equivalence.apps"],
    USE_TZ=True,
)
django.setup()


class Customer(models.Model):
    id = models.IntegerField(primary_key=True)
    name = models.TextField()
    email = models.TextField(null=True)
    city = models.TextField(null=True)
    credit = models.DecimalField(max_digits=12, decimal_places=2, default=Decimal(0))
    created_at = models.DateTimeField(default=dt.datetime(2024, 5, 5, tzinfo=dt.UTC))

    class Meta:
        app_label, db_table, managed = "apps", "customers", False


class Order(models.Model):
    id = models.IntegerField(primary_key=True)
    customer = models.ForeignKey(Customer, models.DO_NOTHING, related_name="orders")
    status = models.TextField(db_default="new")
    amount = models.DecimalField(max_digits=12, decimal_places=2, default=Decimal(0))
    qty = models.IntegerField(default=1)
    note = models.TextField(null=True)
    meta = models.JSONField(default=dict)
    placed_at = models.DateTimeField(default=dt.datetime(2024, 5, 5, tzinfo=dt.UTC))

    class Meta:
        app_label, db_table, managed = "apps", "orders", False


class Product(models.Model):
    id = models.IntegerField(primary_key=True)
    sku = models.TextField()
    name = models.TextField()
    price = models.DecimalField(max_digits=10, decimal_places=2)

    class Meta:
        app_label, db_table, managed = "apps", "products", False


class Event(models.Model):
    id = models.BigIntegerField(primary_key=True)
    kind = models.TextField()
    payload = models.JSONField(default=dict)
    at = models.DateTimeField()

    class Meta:
        app_label, db_table, managed = "apps", "events", False


def read() -> None:
    """Pages, filters, reports."""
    list(Customer.objects.order_by("id")[:5])
    list(Customer.objects.order_by("-credit", "id")[2:6])
    Customer.objects.filter(name__icontains="o", city="Oslo").count()
    Customer.objects.filter(Q(email__isnull=True) | Q(credit__gte=300)).exclude(city="Bern").exists()
    list(Order.objects.select_related("customer").filter(customer__city="Lyon").order_by("id"))
    list(Customer.objects.prefetch_related(Prefetch("orders", Order.objects.order_by("id"))).order_by("id"))
    list(Customer.objects.annotate(n=Count("orders"), total=Sum("orders__amount")).filter(n__gt=1).order_by("id"))
    Order.objects.aggregate(Avg("amount"), Max("placed_at"), n=Count("id", filter=Q(status="paid")))
    list(Order.objects.values("status").annotate(n=Count("id")).order_by("status"))
    list(Order.objects.annotate(month=TruncMonth("placed_at")).values("month").annotate(t=Sum("qty")).order_by("month"))
    newest = Order.objects.filter(customer=OuterRef("pk")).order_by("-placed_at", "-id")
    list(Customer.objects.annotate(last=Subquery(newest.values("amount")[:1])).order_by("id").values("id", "last"))
    list(Customer.objects.filter(Exists(newest.filter(status="paid"))).order_by("id").values_list("id", flat=True))
    list(Order.objects.filter(meta__src="web").order_by("id").values("id", "meta__prio"))
    list(Order.objects.filter(meta__contains={"src": "app"}).order_by("id").values_list("id"))
    list(Order.objects.annotate(r=Window(Rank(), partition_by="status", order_by="-amount")).order_by("id").values("r"))
    kinds = Case(When(qty__gte=3, then=Value("bulk")), default=Value("single"), output_field=models.TextField())
    list(Order.objects.annotate(k=kinds).values("k").annotate(n=Count("*")).order_by("k"))
    list(
        Customer.objects.annotate(e=Lower(Coalesce("email", Value("none"), output_field=models.TextField())))
        .order_by("id")
        .values_list("e", flat=True)
    )
    list(Customer.objects.filter(id__in=Order.objects.filter(qty__gt=3).values("customer_id")).order_by("id"))
    list(Customer.objects.filter(id__lt=4).union(Customer.objects.filter(credit__gt=500)).order_by("id"))
    list(Order.objects.dates("placed_at", "month"))
    list(Product.objects.filter(price__range=(5, 30)).order_by("id").values_list("sku", "price"))
    list(Event.objects.filter(at__year=2024, payload__n__gte=5).order_by("id").values("id", "kind"))
    list(Order.objects.filter(note__regex="^note [0-9]+").order_by("id").values_list("id", flat=True))
    list(Order.objects.raw("SELECT id, amount FROM orders WHERE qty > %s ORDER BY id", [2]))
    Order.objects.filter(placed_at__date=dt.date(2024, 6, 5)).first()
    list(Order.objects.order_by("customer__city", "id").distinct("customer__city").values("customer__city", "id"))


def write() -> None:
    """Changes inside transactions, with savepoints."""
    with transaction.atomic():
        made = Customer.objects.create(id=501, name="New", city="Oslo")
        made.credit = Decimal("12.50")
        made.save(update_fields=["credit"])
        Order.objects.bulk_create([Order(id=600 + at, customer=made, amount=at, note=f"n{at}") for at in range(1, 4)])
        Order.objects.filter(customer=made).update(qty=F("qty") + 2, meta={"src": "django"})
        Order.objects.filter(pk=601).select_for_update().get()
    Customer.objects.get_or_create(id=502, defaults={"name": "Maybe"})
    Customer.objects.get_or_create(id=502, defaults={"name": "Maybe"})
    Customer.objects.update_or_create(id=502, defaults={"name": "Surely"})
    try:
        with transaction.atomic():
            Order.objects.filter(pk=602).delete()
            with transaction.atomic():
                Customer.objects.create(id=501, name="Twice")
    except django.db.IntegrityError:
        pass
    Order.objects.bulk_update([Order(id=601, note="a"), Order(id=603, note="b")], ["note"])
    Customer.objects.bulk_create([Customer(id=503, name="c"), Customer(id=502, name="d")], ignore_conflicts=True)
    Order.objects.filter(customer_id=501).delete()
    Customer.objects.filter(id__gt=500).delete()


read()
write()
