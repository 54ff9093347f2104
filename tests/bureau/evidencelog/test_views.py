"""The pages: overview, entry with its live proof, checkpoint; roles, filters, empty and bad states."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from django.db import transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from bureau.cases import city as cities
from jingwei.bureau.access import Role
from jingwei.bureau.accounts.services import substitute
from jingwei.bureau.evidencelog import selectors
from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.bureau.evidencelog.services import record, sequence
from jingwei.bureau.registry.models import Permit
from jingwei.evidence import parse_checkpoint
from jingwei.evidence.log import open_log
from world import build

pytestmark = pytest.mark.django_db
SHUT_OUT = {Role.ENTERPRISE, Role.GRID, Role.DEPARTMENT}
PAGES = ("evidencelog:list", "evidencelog:checkpoint")


@pytest.fixture
def auditor(client: Client, data: Path) -> Client:
    client.force_login(build().users["auditor"])
    client.cookies["django_language"] = "en"
    return client


def entries(count: int, kind: str = "case_event", subject: str = "case:1") -> list[EvidenceEntry]:
    with transaction.atomic():
        return [record(kind, subject, {"n": n}, actor="wang") for n in range(count)]


def page(client: Client, name: str, *args: object, **query: str) -> str:
    answer = client.get(reverse(name, args=args), query)
    assert answer.status_code == 200
    return answer.content.decode()


def test_roles(client: Client, data: Path) -> None:
    users = build().users
    row = entries(1, "judgements", "judge-hour:1:0")[0]
    sequence()
    urls = [*(reverse(name) for name in PAGES), row.get_absolute_url()]
    for url in urls:
        answer = client.get(url)
        assert answer.status_code == 302
        assert answer.url.startswith(reverse("accounts:login"))
    for name, user in users.items():
        client.force_login(user)
        for url in urls:
            allowed = user.is_superuser or user.role not in SHUT_OUT
            assert client.get(url).status_code == (200 if allowed else 403), (name, url)
            assert client.post(url).status_code in (403, 405)


def test_a_district_sees_what_is_of_its_places_and_of_all(client: Client, data: Path) -> None:
    """Open findings, cases and devices of other districts are none of its business."""
    city = cities.build()
    own, other = cities.finding(city), cities.finding(city, 2, 1)
    by_place = [(own.region_id, own.evidence), (other.region_id, other.evidence)]
    for point in city.points:
        by_place.append((point.region_id, entries(1, "device", f"device:{point.mn}")[0]))
    permits = Permit.objects.select_related("enterprise")
    for permit in permits:
        entry = entries(1, "permit", f"permit:{permit.pk}")[0]
        by_place.append((permit.enterprise.region_id, entry))
    common = entries(1, "exceedances", "judge-hour:1:0") + entries(1, "draw", "draw:SJ-1")
    nobody = entries(1, "api.token", "token:1") + entries(1, "case_event", "case:999")
    sequence()
    assert {place for place, _ in by_place} == {"110108", "110105"}
    for name, places in (("district", "110108"), ("district2", "110105"), ("leader", "")):
        client.force_login(city.people[name])
        told = page(client, "evidencelog:list")
        assert ("只列出本辖区" in told) == bool(places)
        shown = [(places in ("", place), row) for place, row in by_place]
        shown += [(True, row) for row in common] + [(not places, row) for row in nobody]
        for sees, row in shown:
            assert (row.get_absolute_url() in told) == sees, (name, row)
            certificate = reverse("evidencelog:certificate", args=[row.pk])
            for url in (row.get_absolute_url(), certificate):
                assert client.get(url).status_code == (200 if sees else 404), (name, row)
    # Who stands in for the other one sees both.
    today = timezone.localdate()
    absent = city.people["district2"]
    substitute(absent, absent, city.people["district"], today, today, "休假")
    client.force_login(city.people["district"])
    for _place, row in by_place:
        assert client.get(row.get_absolute_url()).status_code == 200


def test_only_auditors_see_that_an_identity_was_kept_or_read(client: Client, data: Path) -> None:
    users = build().users
    rows = [entries(1, kind, "finding:77")[0] for kind in selectors.PROTECTED]
    sequence()
    for name, user in users.items():
        if not user.is_superuser and user.role in SHUT_OUT:
            continue
        client.force_login(user)
        sees = user.is_superuser or user.role == Role.AUDITOR
        text = page(client, "evidencelog:list", subject="finding:77")
        assert ('data-label="Subject">finding:77<' in text or "finding:77</td>" in text) == sees
        assert ('value="reading"' in text) == sees, name
        for row in rows:
            certificate = reverse("evidencelog:certificate", args=[row.pk])
            for url in (row.get_absolute_url(), certificate):
                assert client.get(url).status_code == (200 if sees else 404), (name, url)


def test_nothing_recorded_yet(auditor: Client) -> None:
    text = page(auditor, "evidencelog:list")
    assert "Nothing has been recorded yet" in text
    assert "No valid checkpoint" in text
    assert auditor.get(reverse("evidencelog:checkpoint")).status_code == 404
    assert auditor.get(reverse("evidencelog:entry", args=[1])).status_code == 404


def test_overview(auditor: Client, data: Path) -> None:
    entries(60)
    entries(2, "finding", "finding:7")
    sequence()
    entries(1)
    text = page(auditor, "evidencelog:list")
    log = open_log(data / "evidence")
    assert log.note in text.replace("&#x27;", "'")
    assert str(log.verifier) in text
    assert "signature valid" in text
    assert text.count('data-label="Subject"') == 50
    assert text.count('data-label="Subject"') == 50
    assert 'data-label="Subject"' in page(auditor, "evidencelog:list", page="2")
    assert page(auditor, "evidencelog:list", kind="finding").count("finding:7") >= 2
    assert 'data-label="Subject">case:1<' not in page(auditor, "evidencelog:list", kind="finding")
    assert "finding:7" in page(auditor, "evidencelog:list", subject="finding:*")
    assert "No entry fits" in page(auditor, "evidencelog:list", subject="finding:")
    assert "No entry fits" in page(auditor, "evidencelog:list", subject="<b>x")
    assert "finding:7" in page(auditor, "evidencelog:list", kind="find\x00ing", subject="\x00")


def test_overview_query_count(auditor: Client, django_assert_max_num_queries) -> None:
    entries(40)
    sequence()
    with django_assert_max_num_queries(12):
        page(auditor, "evidencelog:list")


def test_checkpoint_download(auditor: Client, data: Path) -> None:
    entries(3)
    sequence()
    answer = auditor.get(reverse("evidencelog:checkpoint"))
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    log = open_log(data / "evidence")
    assert parse_checkpoint(answer.content, log.verifier).size == 3


def test_entry_is_proved_live(auditor: Client, data: Path) -> None:
    rows = entries(5)
    sequence()
    text = page(auditor, "evidencelog:entry", rows[3].pk)
    proof = selectors.proof(EvidenceEntry.objects.get(pk=rows[3].pk))
    assert "Leaf 3" in text
    assert "Proved" in text
    assert len(proof.steps) == 3
    for value in (proof.leaf, proof.root, *proof.steps):
        assert value in text
    assert "wang" not in text
    assert "&quot;n&quot;: 3" in text


def test_entry_that_waits(auditor: Client) -> None:
    row = entries(1)[0]
    text = page(auditor, "evidencelog:entry", row.pk)
    assert "This entry has no leaf number yet" in text
    assert "No proof to show" in text


@pytest.mark.parametrize("name", ["tile/0/000.p/3", "checkpoint"])
def test_a_damaged_log_is_said_so(auditor: Client, data: Path, name: str) -> None:
    rows = entries(3)
    sequence()
    path = data / "evidence/log" / name
    whole = path.read_bytes()
    path.write_bytes(whole[:40] + bytes([whole[40] ^ 1]) + whole[41:])
    text = page(auditor, "evidencelog:entry", rows[0].pk)
    assert "Not proved" in text
    assert "Proved</strong>" not in text.replace("Not proved</strong>", "")
    if name == "checkpoint":
        assert "The log is not whole" in page(auditor, "evidencelog:list")
        assert auditor.get(reverse("evidencelog:checkpoint")).status_code == 404


def test_a_row_that_is_not_the_leaf_is_not_proved(auditor: Client, data: Path) -> None:
    row = entries(2)[1]
    sequence()
    row.refresh_from_db()
    row.content = row.content.replace('"n":1', '"n":2')
    assert "leads from leaf 1" in selectors.proof(row).problem
    row.index = 5
    assert "covers 2 entries only" in selectors.proof(row).problem


def test_lag_is_shown(auditor: Client) -> None:
    row = entries(1)[0]
    assert not selectors.health().late
    old = timezone.now() - timedelta(minutes=20)
    with transaction.atomic():
        EvidenceEntry.objects.create(kind="x", subject="y", content="{}", created=old)
    health = selectors.health()
    assert health.late
    assert health.waiting == 2
    assert row.created > health.oldest
    assert "Entries wait too long" in page(auditor, "evidencelog:list")


def test_chinese(auditor: Client) -> None:
    row = entries(1)[0]
    sequence()
    auditor.cookies["django_language"] = "zh-hans"
    assert "证据日志" in page(auditor, "evidencelog:list")
    text = page(auditor, "evidencelog:entry", row.pk)
    assert "验证通过" in text
    assert "案件事件" in text
