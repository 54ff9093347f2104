"""The public page: reports, receipts, who it was; what the log and the database tell of it."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone, translation

from bureau.cases.city import photo
from jingwei.bureau.evidencelog import checks as log_checks
from jingwei.bureau.evidencelog.models import EvidenceEntry, Reading
from jingwei.bureau.evidencelog.services import sequence
from jingwei.bureau.findings import checks, complaints, episodes, ratelimit, report, services, tasks
from jingwei.bureau.findings.models import Complaint, Finding, Identity, Tally
from jingwei.bureau.findings.services import Refused

pytestmark = pytest.mark.django_db
NAME, PHONE = "钱多多", "13900001111"


@pytest.fixture(autouse=True)
def _english(data):
    with translation.override("en"):
        yield


@pytest.fixture
def stranger():
    return Client(HTTP_ACCEPT_LANGUAGE="en")


SAID = {
    "problem": "smoke",
    "region": "110108",
    "address": "清河北岸",
    "said": "夜里冒黑烟，气味刺鼻",
}


def tell(client, **change):
    answer = client.post(reverse("findings:report"), {**SAID, **change})
    found = re.search(r'class="receipt mono">([0-9A-Z-]+)<', answer.content.decode())
    return answer, found[1] if found else ""


def ask(client, receipt):
    return client.post(reverse("findings:standing"), {"receipt": receipt})


def test_anonymous_with_a_receipt(city, stranger):
    assert stranger.get(reverse("findings:report")).status_code == 200
    answer, receipt = tell(stranger, files=[photo()])
    assert answer.status_code == 200
    assert re.fullmatch(r"([0-9A-HJKMNP-TV-Z]{4}-){3}[0-9A-HJKMNP-TV-Z]{4}", receipt)
    assert "no-store" in answer["Cache-Control"]
    row = Finding.objects.get()
    assert (row.kind, row.source, row.region_id) == ("complaint", "public", "110108")
    assert row.filed_by is None
    assert row.files.count() == 1
    assert not Identity.objects.exists()
    assert receipt not in str(list(Complaint.objects.values()))
    for typed in (
        receipt,
        receipt.lower().replace("-", " "),
        receipt.replace("1", "l").replace("0", "o"),
    ):
        assert "it will be looked at" in ask(stranger, typed).content.decode()
    assert list(checks.check()) == []


def test_the_receipt_follows_the_report(city, stranger):
    _answer, receipt = tell(stranger)
    row = Finding.objects.get()
    services.dismiss(city.dispatcher, row.pk, "已核")
    assert "nothing more is to be done" in ask(stranger, receipt).content.decode()
    services.reopen(city.dispatcher, row.pk, "复核")
    _answer, second = tell(stranger)
    other = Finding.objects.exclude(pk=row.pk).get()
    episodes.merge(city.dispatcher, [other.pk], row.pk, "同一事项")
    services.take([Finding.objects.get(pk=row.pk)])
    assert "Being handled" in ask(stranger, second).content.decode()
    answer = ask(stranger, "0000-0000-0000-0000")
    assert answer.status_code == 404
    assert "已核" not in answer.content.decode()


def test_an_identity_is_nowhere_in_clear(city, stranger, client):
    tell(stranger, name=NAME, phone=PHONE, email="q@example.org")
    row = Finding.objects.get()
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names():
            cursor.execute(f'SELECT * FROM "{table}"')
            for line in cursor.fetchall():
                for value in line:
                    kept = bytes(value) if isinstance(value, bytes | memoryview) else str(value)
                    clear = kept if isinstance(kept, bytes) else kept.encode()
                    assert NAME.encode() not in clear, table
                    assert PHONE.encode() not in clear, table
    for path in Path(settings.ENV.data).rglob("*"):
        if path.is_file():
            assert NAME.encode() not in path.read_bytes(), path
    for who in (city.district, city.grid, city.department, city.auditor, city.leader):
        client.force_login(who)
        page = client.get(row.get_absolute_url()).content.decode()
        assert NAME not in page
        assert 'value="open"' not in page
        with pytest.raises((Refused, Finding.DoesNotExist)):
            complaints.open_identity(who, row.pk, "好奇")
    assert not Reading.objects.exists()


def test_opening_needs_a_reason_and_leaves_an_entry(city, stranger, client):
    tell(stranger, name=NAME, phone=PHONE)
    row = Finding.objects.get()
    client.force_login(city.dispatcher)
    address = reverse("findings:identity", args=[row.pk])
    assert client.get(address).status_code == 405
    refused = client.post(address, {"act": "open", "reason": " "})
    assert refused.status_code == 409
    assert NAME not in refused.content.decode()
    assert not Reading.objects.exists()
    answer = client.post(address, {"act": "open", "reason": "回访举报人"})
    assert NAME in answer.content.decode()
    assert PHONE in answer.content.decode()
    assert "no-store" in answer["Cache-Control"]
    seen = Reading.objects.get()
    assert (seen.actor, seen.what, seen.reason) == (city.dispatcher, "identity", "回访举报人")
    assert seen.subject == f"finding:{row.pk}"
    content = seen.evidence.content
    assert "回访举报人" not in content
    assert seen.evidence.actor == str(city.dispatcher.pk)
    assert f'"actor":"{city.dispatcher.pk}"' not in content


@pytest.mark.django_db(transaction=True)
def test_erasing_forgets_for_ever_and_the_log_stays_whole(city, stranger, client):
    tell(stranger, name=NAME)
    row = Finding.objects.get()
    identity = Identity.objects.get()
    sealed = bytes(identity.sealed)
    client.force_login(city.dispatcher)
    address = reverse("findings:identity", args=[row.pk])
    client.post(address, {"act": "erase", "reason": "依申请删除"})
    late = client.post(address, {"act": "open", "reason": "再次回访"})
    assert [text for _label, text in late.context["left_over"]] == ["再次回访"]
    identity.refresh_from_db()
    assert identity.erased
    # Not even an old copy of the row opens any more.
    with pytest.raises(complaints.ErasedError):
        complaints.keys().open(sealed, f"complaint:{identity.complaint_id}")
    with pytest.raises(Refused):
        complaints.open_identity(city.dispatcher, row.pk, "x")
    with pytest.raises(Refused):
        complaints.erase_identity(city.dispatcher, row.pk, "x")
    sequence()
    assert list(log_checks.check()) == []
    assert list(checks.check()) == []
    kinds = list(EvidenceEntry.objects.order_by("pk").values_list("kind", flat=True))
    assert kinds.count("identity.sealed") == kinds.count("identity.erased") == 1


def test_an_erasure_that_a_crash_cut_short_is_finished(city, stranger, monkeypatch):
    tell(stranger, name=NAME)
    row = Finding.objects.get()
    monkeypatch.setattr(complaints.KeyFolder, "erase", lambda *_a: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        complaints.erase_identity(city.dispatcher, row.pk, "依申请删除")
    monkeypatch.undo()
    identity = Identity.objects.get()
    assert complaints.keys().kept(bytes(identity.sealed))
    assert any("still has its key" in problem for problem in checks.check())
    tasks.tick(timezone.now())
    assert not complaints.keys().kept(bytes(identity.sealed))
    assert list(checks.check()) == []


def test_rotation_keeps_identities_readable(city, stranger):
    tell(stranger, name=NAME)
    assert complaints.keys().rotate() == 1
    row = Finding.objects.get()
    assert complaints.open_identity(city.dispatcher, row.pk, "回访") == {"name": NAME}


def test_reading_a_file_of_a_complaint_leaves_an_entry(city, stranger, client):
    tell(stranger, files=[photo()])
    file = Finding.objects.get().files.get()
    client.force_login(city.district2)
    assert client.get(file.get_absolute_url()).status_code == 404
    assert not Reading.objects.exists()
    client.force_login(city.grid)
    assert client.get(file.get_absolute_url()).status_code == 200
    assert Reading.objects.get().actor == city.grid


def test_no_enterprise_learns_of_a_complaint(city, stranger, client):
    tell(stranger)
    row = Finding.objects.get()
    Finding.objects.filter(pk=row.pk).update(enterprise=city.enterprises[0])
    client.force_login(city.enterprise)
    assert client.get(row.get_absolute_url()).status_code == 404
    assert not Finding.objects.restrict(city.enterprise, "finding.view").exists()


@pytest.mark.parametrize(
    "change",
    [
        {"problem": ""},
        {"problem": "weather"},
        {"region": "110000"},  # the whole city is no place
        {"region": "x"},
        {"said": "…"},
        {"said": "x" * 1001},
        {"address": ""},
        {"when": "2999-01-01T00:00"},
        {"email": "no address"},
        {"website": "http://spam"},
        {"files": [SimpleUploadedFile("a.png", b"<svg onload=alert(1)>")]},
    ],
)
def test_what_cannot_be_taken_in(city, stranger, change):
    answer, receipt = tell(stranger, **change)
    assert answer.status_code == 422
    assert not receipt
    assert not Finding.objects.exists()


def test_an_address_is_slowed_down_and_not_kept(city, stranger):
    for _n in range(report.REPORTS):
        assert tell(stranger)[0].status_code == 200
    assert tell(stranger)[0].status_code == 429
    assert Finding.objects.count() == report.REPORTS
    other = Client(REMOTE_ADDR="203.0.113.9")
    assert tell(other)[0].status_code == 200
    assert "203.0.113.9" not in str(list(Tally.objects.values()))
    for _n in range(report.LOOKS):
        assert ask(stranger, "x").status_code == 404
    assert ask(stranger, "x").status_code == 429


def test_counts_begin_anew_and_are_forgotten():
    now, hour = timezone.now(), timedelta(hours=1)
    assert [ratelimit.within("t", "a", 2, hour, now) for _n in range(3)] == [True, True, False]
    assert ratelimit.within("t", "b", 2, hour, now)
    assert ratelimit.within("t", "a", 2, hour, now + hour)
    ratelimit.forget(now + 5 * hour)
    assert not Tally.objects.exists()
