"""How a campaign is amended, called off and closed: act by act, and driven against a specification."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import IntegrityError, connection, transaction
from django.urls import reverse
from django.utils import timezone, translation
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from bureau.campaigns.conftest import ROW, begin, workbook
from bureau.cases import city as cities
from bureau.cases.machine import drive
from jingwei.bureau.access import PERMISSIONS
from jingwei.bureau.accounts.models import User
from jingwei.bureau.campaigns import acting, checks, evaluating, selectors, services, sheets, tasks
from jingwei.bureau.campaigns.course import CAMPAIGN
from jingwei.bureau.campaigns.models import Change, Programme, Team
from jingwei.bureau.cases.errors import Invalid, Refused, Stale
from jingwei.bureau.cases.models import Case
from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.bureau.findings import immutable
from jingwei.bureau.inspections.services import plan_inspection
from jingwei.bureau.monitoring.patterns import campaign_sources
from jingwei.bureau.notices.models import Delivery, Message, Preference

ENDED = {"text": "任务并入省级行动", "sure": "on"}


@pytest.fixture
def running(city) -> Programme:
    today = timezone.localdate()
    return begin(
        city, "campaign", begins=today - timedelta(days=5), ends=today + timedelta(days=20),
        regions=[city.regions[0]], matters=["industry"], text="查炉窑", checklist="设施同步运行",
    )  # fmt: skip


def form(programme: Programme, **changes: Any) -> dict[str, Any]:
    """The amendment's form as the page shows it, with what somebody changes."""
    step = CAMPAIGN.transition("amend")
    shown = {f.name: f.initial(programme) for f in step.fields if f.initial}
    return {**shown, "begins": programme.begins, "text": "上级调整任务", **changes}


def post(client, programme: Programme, what: str, **data: Any):
    return client.post(reverse("campaigns:act", args=[programme.pk, what]), data)


def test_who_may_is_what_the_table_of_permissions_says() -> None:
    for step in (CAMPAIGN.opening, *CAMPAIGN.transitions):
        assert step.roles == PERMISSIONS[CAMPAIGN.action]


def test_an_amendment_is_kept_told_and_readable(city, running, client, settings) -> None:
    settings.ENV = replace(settings.ENV, mail="smtp://127.0.0.1:1")
    Preference.objects.create(user=city.grid, ways={"turn": ["mail"]})
    Preference.objects.create(user=city.district, ways={"turn": []})
    people = [city.grid.pk, city.district.pk]
    User.objects.filter(pk__in=people).update(email="one@example.test")
    acting.add_team(city.dispatcher, running, "一组", None, [city.grid], "编组")
    Message.objects.all().delete()
    later = running.ends + timedelta(days=10)
    client.force_login(city.dispatcher)
    page = client.get(running.get_absolute_url()).content.decode()
    assert "调整方案" in page
    sent = form(
        running, plan="查炉窑与锅炉", ends=later, regions=["110108", "110105"], matters=[],
        lead="district-110108",
    )  # fmt: skip
    sent |= {"seen": 1, "token": "page"}
    assert post(client, running, "amend", **sent).status_code == 302
    assert post(client, running, "amend", **sent).status_code == 302, "the button twice"
    assert post(client, running, "amend", **{**sent, "text": "另因"}).status_code == 409
    change = running.changes.get(act="amend")
    assert set(change.changes) == {"text", "ends", "regions", "matters", "lead"}
    assert change.changes["ends"] == [running.ends.isoformat(), later.isoformat()]
    entry = change.evidence
    assert '"regions":["110105","110108"]' in entry.content
    for word in ("锅炉", "上级调整任务"):
        assert word not in entry.content
    running.refresh_from_db()
    assert (running.text, running.ends, running.matters) == ("查炉窑与锅炉", later, [])
    assert running.lead == city.district.department
    told = Message.objects.filter(text_zh__contains="上级调整任务")
    assert {city.grid, city.district} <= {m.user for m in told}
    assert city.dispatcher not in {m.user for m in told}
    assert [d.message.user for d in Delivery.objects.filter(way="mail")] == [city.grid]
    page = client.get(running.get_absolute_url()).content.decode()
    for word in ("<del>查炉窑</del>", "上级调整任务", "编入工作组", "一组", "调整方案"):
        assert word in page, word
    report = client.get(reverse("campaigns:report", args=[running.pk])).content.decode()
    assert "上级调整任务" in report
    assert list(checks.check()) == []


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({}, "没有变化"),
        ({"checklist": "设施同步运行\r\n"}, "没有变化"),
        ({"ends": date(2020, 1, 1)}, "早于今天"),
        ({"ends": "x"}, ""),
        ({"text": ""}, ""),
        ({"regions": ["999999"]}, ""),
        ({"lead": "grid-none"}, ""),
    ],
)
def test_a_wrong_amendment_is_refused_and_kept_in_the_form(
    city, running, client, changes, why
) -> None:
    client.force_login(city.dispatcher)
    words = {"plan": "查炉窑"} if why == "没有变化" else {"plan": "改过的方案全文"}
    answer = post(client, running, "amend", seen=0, **form(running, **{**words, **changes}))
    assert answer.status_code in (409, 422)
    page = answer.content.decode()
    assert why in page
    assert words["plan"] in page
    assert "has-error" in page, "the page's script keeps the draft by it"
    assert not running.changes.exists()


def test_the_first_day_moves_only_before_it_has_come(city, running) -> None:
    today = timezone.localdate()
    acting.amend(city.dispatcher, running.pk, form(running, begins=today, plan="b"))
    running.refresh_from_db()
    assert running.begins == today - timedelta(days=5)
    ahead = begin(
        city,
        "campaign",
        title="c",
        begins=today + timedelta(days=3),
        ends=today + timedelta(days=9),
    )
    with pytest.raises(Refused):
        acting.amend(city.dispatcher, ahead.pk, form(ahead, begins=today - timedelta(days=1)))
    with pytest.raises(Refused):
        acting.amend(city.dispatcher, ahead.pk, form(ahead, begins=today + timedelta(days=10)))
    acting.amend(city.dispatcher, ahead.pk, form(ahead, begins=today + timedelta(days=5)))
    ahead.refresh_from_db()
    assert ahead.begins == today + timedelta(days=5)
    assert list(checks.check()) == []


def test_two_amend_at_once_and_what_was_written_is_kept(city, running, client) -> None:
    acting.amend(city.dispatcher, running.pk, form(running, plan="先到的"), seen=0)
    with pytest.raises(Stale):
        acting.amend(city.dispatcher, running.pk, form(running, plan="后到的"), seen=0)
    client.force_login(city.dispatcher)
    answer = post(client, running, "amend", seen=0, **form(running, plan="后到的", text="另因"))
    assert answer.status_code == 409
    page = answer.content.decode()
    assert "本页打开后已有新的操作" in page
    assert "后到的" in page
    post(client, running, "call_off", seen=1, **ENDED)
    answer = post(client, running, "amend", seen=1, **form(running, text="没来得及"))
    assert answer.status_code == 409
    assert "没来得及" in answer.content.decode()


def shown(answer, *texts: str) -> None:
    """That the answer refuses, and has these texts for copying."""
    assert answer.status_code in (404, 409, 422)
    page = answer.content.decode()
    kept = re.findall(r"<textarea[^>]*readonly[^>]*>\s*(.*?)</textarea>", page, re.S)
    assert set(texts) <= set(kept), kept
    if answer.status_code != 404:
        assert 'role="alert"' in page


def test_what_was_written_for_a_campaign_that_is_over_comes_back(city, running, client) -> None:
    amended = form(running, plan="新方案全文", checklist="新清单", text="没来得及")
    day = timezone.localdate().isoformat()
    acting.add_team(city.dispatcher, running, "一组", None, [city.grid], "编组")
    acting.call_off(city.dispatcher, running.pk, ENDED)
    client.force_login(city.dispatcher)
    shown(post(client, running, "amend", seen=1, **amended), "新方案全文", "新清单", "没来得及")
    shown(post(client, running, "conclude", seen=1, text="办结结论"), "办结结论")
    team = {"name": "二组名", "text": "补编", "members": [city.grid.pk]}
    shown(post(client, running, "team", **team), "二组名", "补编")
    shown(post(client, running, "team", name="", text="未填名"), "未填名")
    untied = post(client, running, "untie", team=running.teams.get().pk, text="撤组缘由")
    shown(untied, "撤组缘由")
    for sent in ({"day": day}, {"day": "x"}):
        url = reverse("campaigns:write", args=[running.pk, "summary"])
        shown(client.post(url, {**sent, "text": "当日小结"}), "当日小结")
    url = reverse("campaigns:write", args=[running.pk, "recommend"])
    shown(client.post(url, {"cause": "none", "measure": "加密巡查"}), "加密巡查")
    url = f"{reverse('inspections:new')}?campaign={running.pk}"
    plan = {"title": "检查标题", "text": "检查内容", "origin": "targeted", "day": day}
    late = client.post(url, {**plan, "uscc": city.enterprises[0].uscc})
    assert late.status_code == 409
    assert "检查内容" in late.content.decode()
    assert client.get(url).status_code == 404
    assert not Case.objects.exists()
    assert not running.summaries.exists()


def test_what_was_written_for_a_list_that_is_closed_comes_back(city, client) -> None:
    row = begin(city, "list")
    client.force_login(city.dispatcher)
    shown(post(client, row, "amend", seen=0, **form(row, text="清单不可调")), "清单不可调")
    acting.conclude(city.dispatcher, row.pk, "先到的结论", {})
    shown(post(client, row, "conclude", seen=0, text="后到的结论"), "后到的结论")
    url = reverse("campaigns:enter", args=[row.pk])
    sheet = SimpleUploadedFile("list.xlsx", workbook(ROW))
    preview = client.post(url, {"file": sheet})
    late = client.post(url, {"sheet": preview.context["sheet"]})
    assert late.status_code == 422
    assert 'role="alert"' in late.content.decode()
    assert not Case.objects.exists()


def test_a_team_taken_out_without_a_reason_is_refused_on_the_page(city, running, client) -> None:
    acting.add_team(city.dispatcher, running, "一组", None, [city.grid], "编组")
    client.force_login(city.dispatcher)
    answer = post(client, running, "untie", team=running.teams.get().pk, text=" ")
    assert answer.status_code == 409
    assert "原因" in answer.context["refused"]


@pytest.mark.parametrize("kept", ["enter", "summarise", "plan"])
def test_a_row_read_before_the_end_does_not_count(city, running, kept) -> None:
    """What was read before somebody else ended the programme is read again under the lock."""
    if kept == "enter":
        stale = begin(city, "list")
        rows, _problems = sheets.read(stale, workbook(ROW))
        acting.conclude(city.dispatcher, stale.pk, "无", {})
    else:
        stale = Programme.objects.get(pk=running.pk)
        acting.call_off(city.dispatcher, running.pk, ENDED)
    today, unit = timezone.localdate(), city.enterprises[0]
    said = {"title": "x", "text": "y", "origin": "targeted", "day": today.isoformat()}
    assert stale.closed is None
    with pytest.raises(Refused):
        {
            "enter": lambda: services.enter(city.dispatcher, stale, rows),
            "summarise": lambda: services.summarise(city.dispatcher, stale, today, "z", {}),
            "plan": lambda: plan_inspection(city.dispatcher, unit, said, programme=stale),
        }[kept]()
    assert not Case.objects.exists()


def test_calling_off_ends_it_that_day(city, running, client, monkeypatch) -> None:
    acting.add_team(city.dispatcher, running, "一组", None, [city.grid], "编组")
    client.force_login(city.dispatcher)
    assert post(client, running, "call_off", text="并入", seen=1).status_code == 422, (
        "not confirmed"
    )
    assert post(client, running, "call_off", sure="on", seen=1).status_code == 422, "no reason"
    sent = {"seen": 1, "token": "page", **ENDED}
    assert post(client, running, "call_off", **sent).status_code == 302
    assert post(client, running, "call_off", **sent).status_code == 302, "the button twice"
    assert running.changes.filter(act="call_off").count() == 1
    running.refresh_from_db()
    today = timezone.localdate()
    assert (running.state, running.last_day, running.conclusion) == ("called_off", today, "")
    told = Message.objects.filter(text_zh__contains=ENDED["text"])
    assert city.grid in {m.user for m in told}
    page = client.get(running.get_absolute_url()).content.decode()
    for word in ("已叫停", ENDED["text"], "不再为本行动安排新的检查"):
        assert word in page, word
    assert page.count(ENDED["text"]) == 2, "in the notice and on the timeline"
    for gone in (reverse("inspections:new"), "call_off", "调整方案</button>"):
        assert gone not in page.replace('id="act-', ""), gone
    assert "已叫停" in client.get(reverse("campaigns:index")).content.decode()
    report = client.get(reverse("campaigns:report", args=[running.pk])).content.decode()
    assert ENDED["text"] in report
    assert "尚未办结" not in report
    # Nothing counts after it, and nobody is reminded.
    assert evaluating.stretches(running, today + timedelta(days=3))[1][2] == today
    periods = [p for source in campaign_sources for p in source(today, today + timedelta(days=9))]
    assert [p[2] for p in periods] == [today]
    for _again in range(2):
        tasks.tick(timezone.now() + timedelta(days=60))
    assert not Message.objects.filter(key=running.evaluation_key).exists()
    for act in (
        lambda: acting.conclude(city.dispatcher, running.pk, "完成", {}),
        lambda: acting.amend(city.dispatcher, running.pk, form(running, plan="x")),
        lambda: acting.add_team(city.dispatcher, running, "二组", None, [city.grid], "增"),
        lambda: acting.remove_team(city.dispatcher, running, running.teams.get().pk, "减"),
        lambda: services.summarise(city.dispatcher, running, today, "总结", {}),
    ):
        with pytest.raises(Refused):
            act()
    assert list(checks.check()) == []


def test_one_called_off_before_it_began_counts_nothing(city) -> None:
    today = timezone.localdate()
    row = begin(city, "campaign", begins=today + timedelta(days=2), ends=today + timedelta(days=9))
    acting.call_off(city.dispatcher, row.pk, ENDED)
    row.refresh_from_db()
    assert selectors.periods(today, today + timedelta(days=30)) == []
    assert not selectors.own_cases(city.dispatcher, row).exists()
    with pytest.raises(Refused, match="叫停"):
        services.evaluate(city.dispatcher, row, today + timedelta(days=5))


def test_a_list_is_as_it_was_handed_down(city, client) -> None:
    row = begin(city, "list")
    for act in (
        lambda: acting.amend(city.dispatcher, row.pk, form(row, plan="x")),
        lambda: acting.call_off(city.dispatcher, row.pk, ENDED),
    ):
        with pytest.raises(Refused, match="整改清单"):
            act()
    client.force_login(city.dispatcher)
    page = client.get(row.get_absolute_url()).content.decode()
    assert "叫停" not in page
    assert post(client, row, "begin").status_code == 404
    assert post(client, row, "nonsense").status_code == 404


def test_changes_are_written_once_and_held_against_the_log(city, running) -> None:
    first = acting.amend(city.dispatcher, running.pk, form(running, plan="一改"))
    acting.amend(city.dispatcher, running.pk, form(running, plan="二改", matters=[]))
    acting.add_team(city.dispatcher, running, "一组", None, [city.grid], "编组")
    gone = acting.add_team(city.dispatcher, running, "二组", None, [city.grid], "编组")
    acting.remove_team(city.dispatcher, running, gone.pk, "并组")
    assert list(checks.check()) == []
    for forbidden in (
        lambda: Change.objects.update(text="x"),
        lambda: Change.objects.filter(pk=first.pk).delete(),
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            forbidden()
    immutable.remove(("campaigns_change",))
    try:
        for tampered, said in (
            (lambda: Programme.objects.update(text="三改"), "text is '三改'"),
            (lambda: Programme.objects.update(text="查炉窑"), "text is '查炉窑'"),
            (lambda: Programme.objects.update(ends=date(2099, 1, 1)), "ends is '2099-01-01'"),
            (lambda: Programme.objects.update(state="called_off"), "it is called_off"),
            (lambda: Change.objects.filter(seq=1).update(text="另因"), "change 1: text"),
            (
                lambda: Change.objects.filter(seq=1).update(changes={"text": ["原文", "一改"]}),
                "text or checklist: not what was said",
            ),
            (lambda: Change.objects.filter(seq=2).update(changes={}), "change 2"),
            (lambda: Change.objects.filter(seq=1).delete(), "its changes are not those"),
            (lambda: Team.objects.update(name="三组"), "name or members: not what was said"),
            (lambda: Team.objects.update(region=city.regions[1]), "region is"),
            (
                lambda: Team.objects.get().members.set([city.district]),
                "name or members: not what was said",
            ),
            (lambda: Team.objects.get().members.add(city.district), "size is 2"),
            (lambda: Team.objects.all().delete(), "its teams are []"),
            (lambda: Team.objects.create(programme=running, name="四组"), "its teams are"),
        ):
            with transaction.atomic():
                tampered()
                problems = [p for p in checks.check() if "trigger" not in p]
                transaction.set_rollback(True)
            assert any(said in p for p in problems), (said, problems)
    finally:
        immutable.install(("campaigns_change",))
    assert connection.vendor in ("sqlite", "postgresql")
    assert list(checks.check()) == []


class Course(RuleBasedStateMachine):
    """One campaign, acted on by anybody with anything; undone when it ends."""

    # act → state after; only the city's dispatcher may, and only while it runs.
    SPECIFICATION = {
        "amend": "running", "team": "running", "untie": "running", "conclude": "closed",
        "call_off": "called_off",
    }  # fmt: skip
    PEOPLE = ("dispatcher", "leader", "district", "grid", "department", "enterprise", "auditor")

    def __init__(self) -> None:
        super().__init__()
        self.undo = transaction.atomic()
        self.undo.__enter__()

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.undo.__exit__(None, None, None)

    @initialize(ahead=st.sampled_from([-5, 0, 5]))
    def entered(self, ahead: int) -> None:
        self.city = cities.build()
        self.today = timezone.localdate()
        self.ends = self.today + timedelta(days=20)
        self.plan, self.state, self.acts = "零", "running", 0
        self.teams: set[str] = set()
        self.row = begin(
            self.city, "campaign", begins=self.today + timedelta(days=ahead), ends=self.ends,
            text=self.plan,
        )  # fmt: skip

    def tries(self, who: str, act: str, possible: bool, do: Any) -> bool:
        """`do` takes who does it and the token of the form, which is sent twice."""
        allowed = who == "dispatcher" and self.state == "running" and possible
        user, token = self.city.people[who], f"{self.acts}"
        try:
            with transaction.atomic():
                first = do(user, token)
        except Refused:
            assert not allowed, (who, act, self.state)
            return False
        assert allowed, (who, act, self.state)
        self.state, self.acts = self.SPECIFICATION[act], self.acts + 1
        assert do(user, token) == first, "sent twice, it happened once"
        return True

    @rule(
        who=st.sampled_from(PEOPLE), plan=st.sampled_from("零一二三"),
        days=st.integers(-10, 40), reason=st.sampled_from(["", "因故"]), behind=st.integers(0, 1),
    )  # fmt: skip
    def amends(self, who: str, plan: str, days: int, reason: str, behind: int) -> None:
        ends = self.today + timedelta(days=days)
        self.row.refresh_from_db()
        other = (plan, ends) != (self.plan, self.ends)
        good = ends == self.ends or ends >= max(self.today, self.row.begins)
        seen = self.acts - min(behind, self.acts)
        sent = form(self.row, plan=plan, ends=ends, text=reason)
        possible = other and good and bool(reason) and seen == self.acts
        if self.tries(
            who, "amend", possible,
            lambda u, token: acting.amend(u, self.row.pk, sent, seen=seen, token=token),
        ):  # fmt: skip
            self.plan, self.ends = plan, ends

    @rule(
        who=st.sampled_from(PEOPLE),
        name=st.sampled_from("甲乙"),
        reason=st.sampled_from(["", "因"]),
    )
    def a_team_is_named(self, who: str, name: str, reason: str) -> None:
        possible = name not in self.teams and (bool(reason) or not self.row.begun)
        if self.tries(
            who, "team", possible,
            lambda u, token: acting.add_team(
                u, self.row, name, None, [self.city.grid], reason, token=token
            ),
        ):  # fmt: skip
            self.teams.add(name)

    @rule(
        who=st.sampled_from(PEOPLE),
        name=st.sampled_from("甲乙"),
        reason=st.sampled_from(["", "因"]),
    )
    def a_team_is_taken_out(self, who: str, name: str, reason: str) -> None:
        team = self.row.teams.filter(name=name).first()
        if team is None:
            return
        possible = bool(reason) or not self.row.begun
        if self.tries(
            who, "untie", possible, lambda u, _: acting.remove_team(u, self.row, team.pk, reason)
        ):
            self.teams.discard(name)

    @rule(who=st.sampled_from(PEOPLE), act=st.sampled_from(["conclude", "call_off"]),
          reason=st.sampled_from(["", "因故"]), often=st.integers(0, 3))  # fmt: skip
    def it_ends(self, who: str, act: str, reason: str, often: int) -> None:
        if often:  # else most runs are over before anything happens
            return
        self.tries(
            who, act, bool(reason),
            lambda u, token: acting.conclude(u, self.row.pk, reason, {}, token=token)
            if act == "conclude"
            else acting.call_off(u, self.row.pk, {**ENDED, "text": reason}, token=token),
        )  # fmt: skip

    @invariant()
    def the_row_is_what_was_said(self) -> None:
        self.row.refresh_from_db()
        assert (self.row.state, self.row.text, self.row.ends) == (self.state, self.plan, self.ends)
        assert bool(self.row.closed) == (self.state != "running")
        assert {t.name for t in self.row.teams.all()} == self.teams
        assert self.row.changes.count() == self.acts
        told = EvidenceEntry.objects.filter(subject=f"campaign:{self.row.pk}")
        assert told.count() == self.acts
        assert len(selectors.happened(self.row)) == self.acts + 1
        assert list(checks.check()) == []


@pytest.mark.django_db
def test_a_campaign_keeps_to_the_specification() -> None:
    assert set(Course.SPECIFICATION) == {t.name for t in CAMPAIGN.transitions}
    with translation.override("zh-hans"):
        drive(Course, runs=10, steps=12)


def test_a_form_with_wrong_values_comes_back(city, running) -> None:
    with pytest.raises(Invalid) as caught:
        acting.amend(city.dispatcher, running.pk, form(running, plan="长" * 4001))
    assert caught.value.form["plan"].value() == "长" * 4001
