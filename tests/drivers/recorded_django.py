"""What tests/drivers/record.py records of Django's ORM: python recorded_django.py HOST PORT DATABASE."""

from __future__ import annotations

import sys

import django
from django.conf import settings
from django.db import IntegrityError, models, transaction

settings.configure(
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": sys.argv[1],
            "PORT": sys.argv[2],
            "NAME": sys.argv[3],
            "USER": "postgres",
            "OPTIONS": {"sslmode": "disable", "gssencmode": "disable", "server_side_binding": True},
        }
    },
    USE_TZ=True,
)
django.setup()


class Note(models.Model):
    id = models.IntegerField(primary_key=True)
    body = models.TextField(null=True)
    at = models.DateTimeField(null=True)
    kind = models.IntegerField(null=True)

    class Meta:
        app_label, db_table, managed = "recorded", "notes", False


list(Note.objects.filter(id__in=[1, 2, 3]).order_by("id"))
for kind in (0, 1, 2):
    Note.objects.filter(kind=kind).aggregate(n=models.Count("id"), first=models.Min("body"))
list(Note.objects.order_by("id").iterator(chunk_size=16))  # a cursor WITH HOLD outside of a transaction
with transaction.atomic():
    Note.objects.bulk_create([Note(id=number, body=f"made {number}") for number in range(801, 806)])
    try:
        with transaction.atomic():
            Note.objects.create(id=1, body="again")
    except IntegrityError:
        Note.objects.filter(id__gt=800).update(kind=models.F("id") % 2)
    list(Note.objects.select_for_update().filter(id__gt=800))
    Note.objects.filter(id__gt=800).delete()
