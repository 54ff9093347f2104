"""Special campaigns, four steps, cases shared with neighbours."""

from __future__ import annotations

import io
from datetime import date, timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from django.utils import timezone
from openpyxl import load_workbook

from bureau.campaigns.conftest import begin
from bureau.cases.city import NOW, bring, finding, open_case, photo
from jingwei.bureau.campaigns import checks as own_checks
from jingwei.bureau.campaigns import selectors, services
from jingwei.bureau.campaigns.flows import ANSWER
from jingwei.bureau.campaigns.models import Share
from jingwei.bureau.cases import checks, tasks
from jingwei.bureau.cases import selectors as cases
from jingwei.bureau.cases import services as kernel
from jingwei.bureau.cases.errors import Refused
from jingwei.bureau.cases.forms import TransitionForm
from jingwei.bureau.cases.models import Case
from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.bureau.findings.models import Finding
from jingwei.bureau.notices.models import Message


def act(who, case, name, photos=False, now=NOW, **data):
    case.refresh_from_db()
    kernel.act(
        who, case.pk, name, case.version, data, {"photos": [photo()]} if photos else {}, now=now
    )
    case.refresh_from_db()
    return case


def push(city, **kw):
    row = finding(city, kind="air_hotspot", enterprise=None, point=None, **kw)
    return kernel.open_case(
        city.dispatcher,
        [row],
        {"title": "热点网格", "text": "排查周边涉气企业", "days": "10"},
        flow="four_step",
        now=NOW,
    )


def test_four_steps_begin_with_located_hot_spots_alone(city, client):
    hot = finding(city, kind="satellite", enterprise=None, point=None)
    other = finding(city, 2, kind="complaint", episode="c", title="夜间噪声")
    data = {"title": "热点网格", "text": "排查", "days": "10"}
    with pytest.raises(Refused, match="夜间噪声"):
        kernel.open_case(city.dispatcher, [hot, other], data, flow="four_step", now=NOW)
    client.force_login(city.dispatcher)
    where = f"{reverse('cases:open')}?flow=four_step&finding={other.pk}"
    answer = client.post(where, data)
    assert answer.status_code == 409
    assert "卫星遥感热点网格" in answer.content.decode()
    assert Finding.objects.filter(state="in_case").count() == 0
    names = [f.name for f in cases.flows_to_open(city.dispatcher, [other])]
    assert "four_step" not in names
    assert "four_step" in [f.name for f in cases.flows_to_open(city.dispatcher, [hot])]
    assert kernel.open_case(city.dispatcher, [hot], data, flow="four_step", now=NOW).pk


def test_a_printed_report_says_whose_figures_it_has(city, client):
    campaign = begin(city, "campaign")
    url = reverse("campaigns:report", args=[campaign.pk])
    client.force_login(city.district)
    page = client.get(url).content.decode()
    assert "海淀区district辖区内的事项" in page
    client.force_login(city.dispatcher)
    page = client.get(url).content.decode()
    assert "全市口径" in page
    assert "辖区内的事项" not in page


def test_four_steps_with_a_follow_up_on_its_day(city, client):
    case = push(city)
    act(city.district, case, "sign")
    act(city.grid, case, "found", photos=True, cause="露天喷涂", text="责令停止")
    act(city.district, case, "rectified", text="已建喷漆房", days="30")
    assert case.state == "watching"
    tasks.tick(NOW + timedelta(days=29))
    case.refresh_from_db()
    assert case.state == "watching"
    day = NOW + timedelta(days=31)
    tasks.tick(day)
    tasks.tick(day)
    case.refresh_from_db()
    assert case.state == "followup"
    with pytest.raises(Refused):
        act(city.district, case, "stays", photos=True, now=day)
    act(city.grid, case, "back", photos=True, text="又见喷涂", now=day)
    assert case.state == "rectifying"
    assert case.due > day
    act(city.district, case, "rectified", text="拆除", days="1", now=day)
    tasks.tick(day + timedelta(days=2))
    act(city.grid, case, "stays", photos=True, now=day + timedelta(days=2))
    assert case.state == "closed"
    assert list(checks.replay(case)) == []
    steps, table = selectors.four_steps(city.dispatcher, date(2026, 11, 1), date(2026, 11, 30))
    assert [(r["region"], r["cells"], r["source"], r["all"]) for r in table] == [
        ("海淀区", [0, 0, 0, 0, 0, 1], 1, 1)
    ]
    assert len(steps) == 6
    client.force_login(city.dispatcher)
    url = f"{reverse('campaigns:four-steps')}?from=2026-11-01&to=2026-11-30"
    assert "form=xlsx" in client.get(url).content.decode()
    book = load_workbook(io.BytesIO(client.get(f"{url}&form=xlsx").getvalue())).active
    _header, row = book.values
    assert row == ("海淀区", 0, 0, 0, 0, 0, 1, 1, 1)
    assert selectors.four_steps(city.district2, date(2026, 11, 1), date(2026, 11, 30))[1] == []


def test_a_campaign_counts_what_is_in_its_scope(city, client):
    campaign = begin(
        city,
        "campaign",
        regions=[city.regions[0]],
        begins=date(2026, 11, 10),
        ends=date(2026, 11, 30),
    )
    inside, _outside = open_case(city, 1, 0), open_case(city, 2, 1)
    assert list(selectors.own_cases(city.dispatcher, campaign)) == [inside]
    assert selectors.figures(city.dispatcher, campaign)["opened"] == 1
    client.force_login(city.dispatcher)
    write = lambda what, **data: client.post(  # noqa: E731
        reverse(f"campaigns:{'write' if what == 'summary' else 'act'}", args=[campaign.pk, what]),
        data,
    )
    assert write("team", name="一组", members=[city.district.pk]).status_code == 422, "no reason"
    team = {"name": "一组", "text": "按方案编组"}
    both = {**team, "members": [city.district.pk, city.grid.pk], "token": "page"}
    assert write("team", **both).status_code == 302
    assert write("team", **both).status_code == 302, "the button twice"
    assert campaign.teams.count() == 1
    assert write("team", **team, members=[city.grid.pk]).status_code == 409
    assert write("team", name="二组").status_code == 422
    future = timezone.localdate() + timedelta(days=400)
    assert write("summary", day=future.isoformat(), text="x").status_code == 409
    today = min(timezone.localdate(), date(2026, 11, 30)).isoformat()
    sent = {"day": today, "text": "检查 12 家", "token": "page"}
    assert write("summary", **sent).status_code == 302
    assert write("summary", **sent).status_code == 302, "the button twice"
    summary = campaign.summaries.get()
    assert summary.figures["opened"] == 1
    assert "检查" not in summary.evidence.content
    page = client.get(campaign.get_absolute_url()).content.decode()
    assert "检查 12 家" in page
    assert "一组" in page
    assert client.get(reverse("campaigns:report", args=[campaign.pk])).status_code == 200
    assert write("conclude", text="", seen=1).status_code == 422
    assert write("conclude", text="达到预期", seen=1).status_code == 302
    campaign.refresh_from_db()
    assert campaign.closed
    assert write("summary", day=today, text="再写").status_code == 409
    for what, form in (("team", both), ("summary", sent)):
        assert write(what, **form).status_code == 302, "the form of before, from the page of before"
    client.force_login(city.grid)
    assert write("summary", day=today, text="x").status_code == 403


def test_a_shared_case_shows_its_part_and_takes_answers(city, client):
    case = open_case(city)
    kernel.act(city.dispatcher, case.pk, "issue", 1, {"days": "10"}, now=NOW)
    client.force_login(city.dispatcher)
    url = reverse("campaigns:shares") + f"?case={case.pk}"
    sent = {
        "authority": "廊坊市生态环境局",
        "request": "协查上游来源",
        "with_facts": "on",
        "days": "10",
        "token": client.get(url).context["token"],
    }
    link = client.post(url, sent).context["link"]
    assert client.post(url, sent).context["link"] == link, "the button twice"
    token = link.rstrip("/").rpartition("/")[2]
    share = Share.objects.get()
    assert case.events.filter(transition="neighbour_shared").count() == 1
    assert len(token) == 64
    assert sent["token"] not in token
    assert (
        token
        not in f"{share.digest}{EvidenceEntry.objects.filter(kind='case.share').get().content}"
    )
    client.logout()
    shown = client.get(link)
    assert shown.status_code == 200
    text = shown.content.decode()
    assert "协查上游来源" in text
    assert "no-cache" in shown["Cache-Control"]
    for secret in (case.basis, "district", "grid2"):
        assert secret not in text
    assert client.post(link, {"name": "", "text": "x"}).status_code == 422
    told = {"name": "李某", "text": "已核查<script>", "token": "page"}
    for _twice in range(2):
        assert client.post(link, told).status_code == 302
    assert case.events.filter(transition="neighbour_answered").count() == 1
    assert "&lt;script&gt;" in client.get(link).content.decode()
    assert "已核查" not in share.answers.get().evidence.content
    client.force_login(city.dispatcher)
    assert "李某" in client.get(reverse("campaigns:shares")).content.decode()
    client.post(reverse("campaigns:shares"), {"revoke": share.pk})
    client.logout()
    assert client.get(link).status_code == 404
    assert client.get(link[:-2] + "x/").status_code == 404
    client.force_login(city.district)
    assert client.get(reverse("campaigns:shares")).status_code == 403


def issued(city, number=1):
    """An order that went out."""
    case = open_case(city, number)
    kernel.act(city.dispatcher, case.pk, "issue", 1, {"days": "10"}, now=NOW)
    case.refresh_from_db()
    return case


def reply(client, token, text="已核查上游两家企业", **files):
    link = reverse("campaigns:shared", args=[token])
    return client.post(link, {"name": "李某，市局执法队", "text": text, **files})


def test_what_has_not_gone_out_is_not_shared(city, client):
    case = open_case(city)
    client.force_login(city.dispatcher)
    url = reverse("campaigns:shares") + f"?case={case.pk}"
    page = client.post(url, {"authority": "邻市", "request": "协查", "days": "10"})
    assert page.status_code == 422
    assert "尚未下达" in page.content.decode()
    assert not Share.objects.exists()
    assert url not in client.get(case.get_absolute_url()).content.decode()
    case = issued(city, 2)
    assert (
        f"{reverse('campaigns:shares')}?case={case.pk}"
        in client.get(case.get_absolute_url()).content.decode()
    )


def test_the_answer_reaches_the_city_and_stands_on_the_timeline_with_its_files(city, client):
    case = issued(city)
    share, token = services.share(city.dispatcher, case.pk, "廊坊市生态环境局", "协查", True, 9)
    Message.objects.all().delete()
    assert reply(client, token, files=[photo(), photo("b.png")]).status_code == 302
    told = Message.objects.filter(kind="case")
    assert {m.user for m in told} == {city.dispatcher, city.district}
    assert all("廊坊市生态环境局" in m.text_zh for m in told)
    assert {m.url for m in told} == {case.get_absolute_url()}
    shared, answered = case.events.order_by("-seq")[:2][::-1]
    assert (shared.transition, answered.transition) == ("neighbour_shared", "neighbour_answered")
    assert [f.name for f in answered.files.all()] == ["photo.png", "b.png"]
    client.force_login(city.district)
    page = client.get(case.get_absolute_url()).content.decode()
    for words in ("外地部门回复", "已核查上游两家企业", "李某，市局执法队", "b.png", "1 份回复"):
        assert words in page
    file = answered.files.first()
    assert client.get(file.get_absolute_url()).status_code == 200
    case.refresh_from_db()
    assert case.version == 2, "nobody's form is out of date because of it"
    client.force_login(city.dispatcher)
    client.post(reverse("campaigns:shares"), {"revoke": share.pk})
    assert case.events.order_by("seq").last().transition == "neighbour_unshared"
    assert list(checks.replay(case)) == []
    assert list(own_checks.check()) == []


def test_each_side_sees_its_part_alone(city, client):
    case = issued(city)
    _one, first = services.share(city.dispatcher, case.pk, "甲市", "请甲市协查", False, 9)
    _two, second = services.share(city.dispatcher, case.pk, "乙市", "请乙市协查", False, 9)
    kernel.act(city.district, case.pk, "comment", 0, {"text": "内部研判"}, now=NOW)
    assert reply(client, first, "甲市已查", files=[photo("jia.png")]).status_code == 302
    link = reverse("campaigns:shared", args=[first])
    mine = client.get(link).content.decode()
    theirs = client.get(reverse("campaigns:shared", args=[second])).content.decode()
    for words in ("甲市已查", "jia.png", "请甲市协查"):
        assert words in mine
        assert words not in theirs
    for words in ("内部研判", "乙市", case.basis, city.dispatcher.username):
        assert words not in mine
    [file] = case.events.get(transition="neighbour_answered").files.all()
    assert client.get(file.get_absolute_url()).status_code == 302, "a login is asked for"
    # The enterprise, and a district that has nothing to do with it.
    client.force_login(city.enterprise)
    page = client.get(case.get_absolute_url()).content.decode()
    for words in ("甲市", "乙市", "jia.png"):
        assert words not in page
    assert client.get(file.get_absolute_url()).status_code == 404
    assert not Message.objects.filter(user=city.enterprise, text_zh__contains="甲市").exists()
    client.force_login(city.district2)
    assert client.get(case.get_absolute_url()).status_code == 404


def test_what_the_neighbour_sends_is_checked_and_not_lost(city, client):
    case = issued(city)
    share, token = services.share(city.dispatcher, case.pk, "邻市", "协查", False, 9)
    script = SimpleUploadedFile("x.html", b"<script>alert(1)</script>", "text/html")
    page = reply(client, token, "已查，附页", files=[script])
    assert page.status_code == 422
    assert "已查，附页" in page.content.decode()
    assert not share.answers.exists()
    assert not case.events.filter(transition="neighbour_answered").exists()


def test_a_link_takes_only_so_many_answers(city, client, monkeypatch):
    case = issued(city)
    share, token = services.share(city.dispatcher, case.pk, "邻市", "协查", False, 9)
    monkeypatch.setattr(services, "MOST_ANSWERS", 1)
    assert reply(client, token).status_code == 302
    page = reply(client, token, "再次回复")
    assert page.status_code == 422
    assert "已收到 1 份回复" in page.content.decode()
    assert "再次回复" in page.content.decode()
    assert share.answers.count() == 1


def test_a_share_runs_out(city, client):
    case = issued(city)
    share, token = services.share(city.dispatcher, case.pk, "邻市", "协查", False, 1)
    assert selectors.shared(token) == share
    Share.objects.update(expires=timezone.now() - timedelta(seconds=1))
    assert selectors.shared(token) is None
    with pytest.raises(Refused):
        services.share(city.dispatcher, 10**9, "邻市", "协查", False, 1)
    with pytest.raises(Refused):
        services.share(city.district, case.pk, "邻市", "协查", False, 1)


def test_opened_links_are_counted(city, client):
    case = issued(city)
    share, token = services.share(city.dispatcher, case.pk, "邻市", "协查", True, 1)
    for _ in range(3):
        client.get(reverse("campaigns:shared", args=[token]))
    share.refresh_from_db()
    assert share.opened == 3
    assert Case.objects.get(pk=case.pk).events.count() == 3


def test_an_answer_by_a_link_that_was_closed_meanwhile_is_refused_and_comes_back(city, client):
    case = bring(city, open_case(city), "issued")
    made, token = services.share(city.dispatcher, case.pk, "邻市", "协查", True, 9)
    sent = {"name": "李某", "text": "现场已核查"}
    form = TransitionForm(ANSWER, case, sent)
    assert form.is_valid()
    services.revoke(city.dispatcher, made.pk)
    assert made.revoked is None  # as it was read
    with pytest.raises(Refused):
        services.answer(made, form)
    late = client.post(reverse("campaigns:shared", args=[token]), sent)
    assert late.status_code == 404
    page = late.content.decode()
    assert "现场已核查" in page
    assert "李某" in page
    assert case.title not in page
    Share.objects.update(revoked=None, expires=timezone.now())
    with pytest.raises(Refused):
        services.answer(made, form)
    assert not made.answers.exists()
