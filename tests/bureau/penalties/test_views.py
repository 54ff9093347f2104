"""The pages: every state for everybody who may look, the documents, the preview, the public page."""

from __future__ import annotations

import csv
import io
import re
from datetime import timedelta
from urllib.parse import unquote

import pytest
from django.urls import reverse
from django.utils.dateparse import parse_datetime
from openpyxl import load_workbook

import printed
from bureau.penalties import office
from bureau.penalties.office import GRADES, NOW, WAY, act, bring, open_penalty, order
from jingwei.bureau.cases import services
from jingwei.bureau.cases.models import Case
from jingwei.bureau.evidencelog.models import Reading
from jingwei.bureau.penalties import fired

pytestmark = pytest.mark.django_db
LOOKERS = ("dispatcher", "reviewer", "district", "leader", "auditor", "enterprise", "grid")


@pytest.fixture(autouse=True)
def _today(monkeypatch):
    """The pages look at the clock of the office: it stands at the time of the acts."""
    from django.utils import timezone

    monkeypatch.setattr(timezone, "now", lambda: NOW + timedelta(days=12))


def body(response) -> str:
    raw = b"".join(response) if response.streaming else response.content
    return raw.decode()


def workbook(client, name: str) -> list[list]:
    sheet = load_workbook(io.BytesIO(client.get(reverse(name)).getvalue())).active
    return [["" if c.value is None else c.value for c in row] for row in sheet.iter_rows()]


@pytest.mark.parametrize("language", ["zh-hans", "en"])
def test_the_page_of_every_state_opens_for_everybody_who_may_look(city, client, language):
    client.cookies["django_language"] = language
    case = open_penalty(city)
    for name, who, days in (*WAY, (None, None, None)):
        for looker in LOOKERS:
            client.force_login(city.people[looker])
            answer = client.get(case.get_absolute_url())
            outside = looker == "enterprise" and not case.issued
            assert answer.status_code == (404 if outside else 200), (case.state, looker)
            if looker == "enterprise" and not outside:
                assert "江门" not in body(answer)
        if name:
            act(city, case, name, who, days)


def test_whoever_may_not_look_finds_nothing(city, client):
    case = bring(city, open_penalty(city), "decide")
    for who in ("district2", "enterprise2"):
        client.force_login(city.people[who])
        for name in ("penalties:notice", "penalties:decision"):
            assert client.get(reverse(name, args=[case.pk])).status_code == 404, who
        assert case.number not in body(client.get(reverse("penalties:list")))
    client.force_login(city.people["department"])
    assert client.get(reverse("penalties:list")).status_code == 403
    client.logout()
    for name in ("penalties:notice", "penalties:decision", "penalties:compute"):
        assert client.get(reverse(name, args=[case.pk])).status_code == 302


def test_an_order_offers_to_open_a_penalty(city, client):
    parent = order(city)
    client.force_login(city.district)
    page = body(client.get(parent.get_absolute_url()))
    address = f"{reverse('cases:open')}?flow=penalty&amp;parent={parent.pk}"
    assert address in page
    form = body(client.get(address.replace("&amp;", "&")))
    assert '<option value="air.exceeded" selected>' in form  # from the order's findings
    assert re.search(r'name="act_from"[^>]* value="2026-11-20"', form)  # as a date field wants it
    answer = client.post(address.replace("&amp;", "&"), {**office.OPEN, "token": "t"})
    case = Case.objects.get(flow="penalty")
    assert answer["Location"] == case.get_absolute_url()
    client.force_login(city.enterprise)
    assert address not in body(client.get(parent.get_absolute_url()))


def test_preview(city, client):
    case = bring(city, open_penalty(city), "approve")
    client.force_login(city.district)
    page = body(client.get(case.get_absolute_url()))
    assert 'name="grades_place"' in page
    address = reverse("penalties:compute", args=[case.pk])
    assert address in page
    found = body(client.get(address, {**GRADES, "grades_place": "3"}))
    assert "390,000" in found  # 10 + 0 + 8 + 15 + 0 + 2 + 4 = 39 %
    found = body(client.get(address, {**GRADES, "circumstances": "apology", "share": "50"}))
    assert "120,000" in found
    for wrong in ({"circumstances": "friend"}, {"grades_place": "9"}, {"share": "x"}):
        assert client.get(address, {**GRADES, **wrong}).status_code == 200
    before = case.events.count()
    assert case.events.count() == before
    client.force_login(city.enterprise)
    assert client.get(address).status_code == 403


def test_what_was_typed_is_not_lost(city, client):
    case = bring(city, open_penalty(city), "approve")
    client.force_login(city.district)
    answer = client.post(
        reverse("cases:act", args=[case.pk, "propose"]),
        {**GRADES, "grades_place": "3", "amount": "5000000", "text": "理由写了很久", "version": case.version},
    )  # fmt: skip
    page = body(answer)
    assert answer.status_code == 409
    assert "理由写了很久" in page
    assert '<option value="3" selected>' in page


def test_documents(city, client):
    case = bring(city, open_penalty(city), "notify")
    client.force_login(city.enterprise)
    page = body(client.get(reverse("penalties:notice", args=[case.pk])))
    for text in (
        "行政处罚事先（听证）告知书", case.detail["notice"]["number"], "示例热电1厂",
        "《中华人民共和国生态环境法典》第一千一百零七条", "贰拾肆万元整", "10 + 0 + 8 + 0 + 0 + 2 + 4 = 24 %",
        "2026-11-12", "75.5",
    ):  # fmt: skip
        assert text in page, text
    assert client.get(reverse("penalties:decision", args=[case.pk])).status_code == 404
    seen = Reading.objects.values_list("what", "subject", "actor")
    assert list(seen) == [("penalty", f"penalty-notice:{case.pk}", city.enterprise.pk)]
    for name, who, days in WAY[4:7]:
        act(city, case, name, who, days)
    page = body(client.get(reverse("penalties:decision", args=[case.pk])))
    for text in (
        "行政处罚决定书",
        case.number,
        "贰拾万元整",
        "部分采纳",
        "整改属实",
        "集体讨论",
        "行政复议",
    ):
        assert text in page, text
    # Names of officers stand nowhere on what the party and the public get.
    for name in ("reviewer", "leader"):
        assert f">{name}<" not in page
    for name in ("notice", "decision"):
        page, file = printed.both(client, reverse(f"penalties:{name}", args=[case.pk]))
        said = printed.text(file.content)
        assert len(printed.cells(page)) > 20
        assert case.detail[name]["number"] in said
        assert "，证据编号：" in page  # the bare numbers say what they are
        assert "打印时间" not in said
        assert "行政处罚" in unquote(file["Content-Disposition"])
        assert file["Cache-Control"] == "private, no-store"


def test_list_filters_and_export(city, client):
    closed = bring(city, open_penalty(city), "close")
    running = bring(city, open_penalty(city, order(city, 2)), "decide")
    client.force_login(city.leader)
    address = reverse("penalties:list")
    for query, seen in (
        ("", {closed, running}),
        ("?state=open", {running}),
        ("?state=unpublished", {running}),
        ("?state=closed", {closed}),
        ("?offence=water.exceeded", set()),
        ("?q=示例热电1", {closed, running}),
        ("?region=110105", set()),
        ("?from=2030-01-01", set()),
        ("?sort=number&page=99", {closed, running}),
    ):
        page = body(client.get(address + query))
        assert {c for c in (closed, running) if c.get_absolute_url() in page} == seen, query
    rows = list(csv.reader(io.StringIO(body(client.get(reverse("penalties:export"))).lstrip("﻿"))))
    assert len(rows) == 3
    assert "200000.00" in rows[2]
    assert reverse("penalties:export_xlsx") in body(client.get(reverse("penalties:list")))
    assert workbook(client, "penalties:export_xlsx") == [
        [float(text) if text[:1].isdigit() and text.endswith(".00") else text for text in row]
        for row in rows
    ]


def test_the_rules_say_how_often_a_fine_was_decided(city, monkeypatch):
    """By the fine and by its article; only decided ones, of the last 90 days, that were not revoked."""
    bring(city, open_penalty(city), "propose")
    case = bring(city, open_penalty(city, order(city, 2)), "decide")
    at = parse_datetime(case.detail["decision"]["at"])
    rule = case.detail["decision"]["rule"]
    (fine,) = [id for id in fired.counts(city.leader) if id.startswith(f"{rule}-air.exceeded-")]
    for days, found in ((1, 1), (91, 0)):
        monkeypatch.setattr(fired.timezone, "now", lambda days=days: at + timedelta(days=days))
        counts = {id: n.count for id, n in fired.counts(city.leader).items() if n.count}
        assert counts == ({fine: 1} if found else {})
    monkeypatch.setattr(fired.timezone, "now", lambda: at)
    Case.objects.filter(pk=case.pk).update(state="revoked")
    assert not any(n.count for n in fired.counts(city.leader).values())


def test_the_public_page(city, client):
    case = bring(city, open_penalty(city), "serve")
    page = reverse("penalties:public")
    assert case.number not in body(client.get(page))
    act(city, case, "publish", "district", 8)
    shown = body(client.get(page))
    assert case.number in shown
    assert "200,000.00" in shown
    for private in ("district", "reviewer", "leader", "催化剂", case.get_absolute_url()):
        assert private not in shown, private
    rows = list(
        csv.reader(io.StringIO(body(client.get(reverse("penalties:public_export"))).lstrip("﻿")))
    )
    assert rows[1][0] == case.number
    assert reverse("penalties:public_export_xlsx") in shown
    header, row = workbook(client, "penalties:public_export_xlsx")
    assert header == rows[0]
    assert row[0] == case.number
    assert row[5] == 200_000
    assert case.number not in body(client.get(page + "?offence=water.exceeded"))
    act(city, case, "revoke", "leader", 9)
    assert case.number not in body(client.get(page))


def test_the_pages_and_papers_of_a_daily_penalty(city, client):
    fine = bring(city, open_penalty(city), "recheck")
    client.force_login(city.district)
    assert f"parent={fine.pk}" not in body(client.get(fine.get_absolute_url()))
    act(city, fine, "decide", "leader", 7)
    assert f"parent={fine.pk}" in body(client.get(fine.get_absolute_url()))
    case = services.open_case(
        city.district, (), office.OPEN, flow="penalty", parent=fine, now=NOW + timedelta(days=9)
    )
    act(city, case, "approve", "leader", 9)
    page = body(client.get(case.get_absolute_url()))
    assert 'id="act-propose_daily"' in page
    assert 'id="act-propose"' not in page
    assert "data-computation" not in page  # tables have nothing to say of it
    for name, who, days in (
        ("propose_daily", "district", 9),
        ("pass", "reviewer", 9),
        ("notify", "district", 10),
        ("waive", "enterprise", 10),
    ):
        act(city, case, name, who, days)
    act(city, case, "decide", "leader", 11, amount="800000")
    for who in ("district", "enterprise"):
        client.force_login(city.people[who])
        page = body(client.get(case.get_absolute_url()))
        assert "200000.00 × 4" in page
        assert "二手来源，未与公报核对" in page
        assert fine.number in page
        for paper in ("notice", "decision"):
            text = body(client.get(reverse(f"penalties:{paper}", args=[case.pk])))
            assert f"你单位经 {fine.number} 处罚后仍违法排放" in text
            assert "《生态环境法典》第一千零六十条" in text
            assert "800,000.00" in text
            assert "捌拾万元整" in text
    client.force_login(city.district)
    client.cookies["django_language"] = "en"
    assert "Consecutive daily penalty" in body(client.get(case.get_absolute_url()))
