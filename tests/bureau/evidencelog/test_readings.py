"""Who saw what: entries of readings, the auditor's page, what the check finds."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.db import transaction
from django.test import Client
from django.urls import reverse

from jingwei.bureau.evidencelog import checks
from jingwei.bureau.evidencelog.models import READINGS, Reading
from jingwei.bureau.evidencelog.services import reading
from world import World, build

pytestmark = pytest.mark.django_db


@pytest.fixture
def world(data: Path) -> World:
    return build()


def test_a_reading_needs_the_transaction_that_hands_out(world: World) -> None:
    with transaction.atomic():
        row = reading(world.users["dispatcher"], "identity", "finding:7", "回访")
    assert row.evidence.subject == "finding:7"
    assert "回访" not in row.evidence.content
    assert list(checks.check()) == []


def test_the_auditor_sees_them_and_nobody_else(world: World, client: Client) -> None:
    with transaction.atomic():
        reading(world.users["dispatcher"], "identity", "finding:7", "回访举报人")
        reading(world.users["grid"], "complaint", "finding-file:3")
    address = reverse("evidencelog:readings")
    for name, user in world.users.items():
        client.force_login(user)
        fine = name in ("auditor", "admin")
        assert client.get(address).status_code == (200 if fine else 403), name
    client.force_login(world.users["auditor"])
    page = client.get(address).content.decode()
    assert "回访举报人" in page
    assert "finding-file:3" in page
    page = client.get(address, {"what": "complaint"}).content.decode()
    assert "回访举报人" not in page
    page = client.get(address, {"who": "di"}).content.decode()
    assert "回访举报人" in page
    assert "finding-file:3" not in page
    assert client.get(address, {"who": "\x00"}).status_code == 200
    assert address in client.get(reverse("evidencelog:list")).content.decode()


def test_nothing_read_yet(world: World, client: Client) -> None:
    client.force_login(world.users["auditor"])
    assert client.get(reverse("evidencelog:readings")).status_code == 200


def test_a_reading_that_was_removed_is_missed(world: World) -> None:
    with transaction.atomic():
        row = reading(world.users["dispatcher"], "identity", "finding:7", "回访")
    Reading.objects.all().delete()
    assert any(f"entry {row.evidence.pk}" in problem for problem in checks.check())


def test_a_reading_that_was_rewritten_is_found(world: World) -> None:
    with transaction.atomic():
        row = reading(world.users["dispatcher"], "identity", "finding:7", "回访")
        reading(world.users["grid"], "photo", "case:3")
    assert list(checks.check()) == []
    for change, said in (
        ({"reason": "核实"}, "reason: not what was said"),
        ({"what": "photo"}, "what is photo, but the evidence log says identity"),
        ({"subject": "finding:8"}, "subject is finding:8, but the evidence log says finding:7"),
        ({"actor": world.users["grid"]}, "the reader is not the one that was committed to"),
    ):
        rows = Reading.objects.filter(pk=row.pk)
        before = rows.values(*change).get()
        rows.update(**change)
        [problem] = checks.check()
        assert said in problem
        rows.update(**before)
    Reading.objects.filter(pk=row.pk).update(actor=None)  # the account is gone
    assert list(checks.check()) == []


def test_every_sort_of_reading_has_a_name() -> None:
    assert {
        "identity",
        "erasure",
        "complaint",
        "document",
        "inspection",
        "photo",
        "penalty",
    } <= set(READINGS)
