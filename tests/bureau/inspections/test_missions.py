"""Inspections that are planned for a campaign: checklist, team, list, progress."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from django.urls import reverse
from django.utils import timezone

from jingwei.bureau.accounts.models import User
from jingwei.bureau.campaigns import acting
from jingwei.bureau.campaigns import selectors as campaigns
from jingwei.bureau.campaigns import services as running
from jingwei.bureau.campaigns.models import Programme
from jingwei.bureau.cases import services as kernel
from jingwei.bureau.cases.checks import replay
from jingwei.bureau.cases.errors import Refused
from jingwei.bureau.cases.models import Case
from jingwei.bureau.cases.telling import turn
from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.bureau.inspections import selectors, services
from jingwei.bureau.inspections.models import Mission
from jingwei.bureau.notices.models import Delivery, Message

from .conftest import NOW

OPENING = {"title": "炉窑检查", "origin": "targeted", "day": "2026-11-25", "text": ""}


@pytest.fixture
def campaign(city) -> Programme:
    return running.begin(
        city.dispatcher,
        Programme.Kind.CAMPAIGN,
        {
            "title": "炉窑专项",
            "level": "own",
            "document": "",
            "begins": date(2026, 11, 1),
            "ends": date(2026, 12, 31),
            "lead": city.world.departments["d1"],
            "text": "查治理设施",
            "checklist": "治理设施同步运行\n\n标记及时",
            "regions": [city.world.region],
            "matters": ["water"],
        },
    )


def test_an_inspection_of_a_campaign_has_its_checklist_and_team(city, campaign, client) -> None:
    members = [i.user for i in city.inspectors[:2]]
    acting.add_team(city.dispatcher, campaign, "一组", city.world.region, members, "编组")
    other = [city.inspectors[3].user]
    acting.add_team(city.dispatcher, campaign, "二组", city.world.elsewhere, other, "编组")
    enterprise = city.enterprises[2]
    client.force_login(city.dispatcher)
    url = reverse("inspections:new") + f"?campaign={campaign.pk}"
    page = client.get(url)
    assert "炉窑专项" in page.content.decode()
    regions = {e.region_id for e in page.context["enterprises"]}
    assert regions == {city.world.region.pk}
    assert page.context["form"]["title"].value() == "炉窑专项"
    day = timezone.localdate().isoformat()
    sent = {**OPENING, "uscc": enterprise.uscc, "day": day, "token": "t1"}
    assert client.post(url, sent).status_code == 302
    assert client.post(url, sent).status_code == 302
    mission = Mission.objects.get()
    case = mission.case
    assert mission.programme == campaign
    assert [i.item for i in selectors.checklist(case)][-2:] == ["治理设施同步运行", "标记及时"]
    assert all(len(i.code) <= 8 for i in selectors.checklist(case))
    codes = [i.code for i in city.inspectors[:2]]
    assert selectors.proposed_team(case) == codes
    page = client.get(case.get_absolute_url()).content.decode()
    assert page.count("checked") >= 2
    assert campaign.get_absolute_url() in page
    # It counts for the campaign, whatever the campaign's matters, and is listed there.
    assert list(campaigns.own_cases(city.dispatcher, campaign)) == [case]
    assert campaigns.figures(city.dispatcher, campaign)["inspections"] == 1
    page = client.get(campaign.get_absolute_url()).content.decode()
    assert case.get_absolute_url() in page
    assert "已完成 0 / 1" in page
    # What is written into the campaign later does not change it.
    Programme.objects.filter(pk=campaign.pk).update(checklist="另一项")
    assert "标记及时" in [i.item for i in selectors.checklist(Case.objects.get(pk=case.pk))]
    assert list(replay(case)) == []


def test_a_campaign_refuses_what_is_not_its_own(city, campaign, client) -> None:
    with pytest.raises(Refused, match=r"不在本行动的区域内|outside"):
        services.plan_inspection(
            city.dispatcher, city.enterprises[10], OPENING, now=NOW, programme=campaign
        )
    acting.conclude(city.dispatcher, campaign.pk, "完成", {})
    campaign.refresh_from_db()
    with pytest.raises(Refused):
        services.plan_inspection(
            city.dispatcher, city.enterprises[2], OPENING, now=NOW, programme=campaign
        )
    client.force_login(city.dispatcher)
    url = reverse("inspections:new")
    assert client.get(f"{url}?campaign={campaign.pk}").status_code == 404
    assert client.get(f"{url}?campaign=x").status_code == 200
    assert not Case.objects.filter(flow="inspection").exists()


def test_an_open_inspection_stays_when_its_campaign_is_called_off(city, campaign, client) -> None:
    case = services.plan_inspection(
        city.dispatcher, city.enterprises[2], OPENING, now=NOW, programme=campaign
    )
    Message.objects.all().delete()
    acting.call_off(city.dispatcher, campaign.pk, {"text": "并入省级行动", "sure": "on"})
    case.refresh_from_db()
    assert (case.state, case.closed) == ("planned", None)
    assert "标记及时" in [i.item for i in selectors.checklist(case)]
    assert turn(case)
    told = Message.objects.filter(text_zh__contains="并入省级行动")
    assert {m.user for m in told} >= set(turn(case)) - {city.dispatcher}
    client.force_login(city.dispatcher)
    page = client.get(case.get_absolute_url()).content.decode()
    assert "该行动已叫停" in page
    campaign.refresh_from_db()
    with pytest.raises(Refused):
        services.plan_inspection(
            city.dispatcher, city.enterprises[2], OPENING, now=NOW, programme=campaign
        )
    kernel.act(city.dispatcher, case.pk, "cancel", case.version, {"text": "行动叫停"}, now=NOW)
    assert "该行动已叫停" not in client.get(case.get_absolute_url()).content.decode()


def test_an_inspection_without_a_campaign_proposes_nobody(city) -> None:
    case = services.plan_inspection(city.dispatcher, city.enterprises[2], OPENING, now=NOW)
    assert selectors.proposed_team(case) == []
    assert not [i for i in selectors.checklist(case) if i.code.startswith("zx")]


def test_teams_are_told_and_leave_evidence(city, campaign) -> None:
    members = [i.user for i in city.inspectors[:2]]
    team = acting.add_team(city.dispatcher, campaign, "一组", None, members, "编组")
    assert {m.user_id for m in Message.objects.all()} >= {m.pk for m in members}
    acting.remove_team(city.dispatcher, campaign, team.pk, "调整")
    acting.remove_team(city.dispatcher, campaign, team.pk, "调整")
    told = Message.objects.filter(user=members[0])
    assert told.count() == 2
    rows = EvidenceEntry.objects.filter(subject=f"campaign:{campaign.pk}").order_by("pk")
    assert [('"act":"team"' in r.content, '"act":"untie"' in r.content) for r in rows] == [
        (True, False),
        (False, True),
    ]
    assert not any("一组" in r.content for r in rows)


def test_inspectors_hear_of_their_team_and_of_its_day(city, settings) -> None:
    settings.ENV = replace(settings.ENV, mail="smtp://127.0.0.1:1")
    one, two, three = city.inspectors[:3]
    User.objects.filter(pk=one.user_id).update(email="one@example.test")
    case = services.plan_inspection(city.dispatcher, city.enterprises[2], OPENING, now=NOW)

    def act(name: str, **data) -> dict[int, str]:
        Message.objects.all().delete()
        case.refresh_from_db()
        kernel.act(city.dispatcher, case.pk, name, case.version, data, now=NOW)
        assert list(replay(Case.objects.get(pk=case.pk))) == []
        told = Message.objects.filter(user__in=[i.user_id for i in (one, two, three)])
        assert len({m.user_id for m in told}) == len(told)  # nobody hears of it twice
        return {m.user_id: m.text_en.partition(":")[0] for m in told}

    told = act("reschedule", day="2026-11-26", text="停电")  # before there is a team
    assert set(told.values()) <= {"Change the day"}  # those for whom the case waits
    told = act("set_team", team=[one.code, two.code])
    assert {told[one.user_id], told[two.user_id]} == {"You inspect on 2026-11-26"}
    assert Delivery.objects.filter(message__user=one.user, way="mail").exists()
    told = act("change_team", team=[one.code, three.code], text="调休")
    assert told[one.user_id] == "Your team was changed"
    assert told[two.user_id] == "You are out of the team"
    assert told[three.user_id] == "You inspect on 2026-11-26"
    told = act("reschedule", day="2026-11-30", text="降雪")
    assert told[one.user_id] == told[three.user_id] == "Your inspection is moved to 2026-11-30"
    assert told[two.user_id] == "Change the day"  # as an officer of the district


def test_what_the_team_was_told_before_a_change_is_settled(city) -> None:
    one, two, three = city.inspectors[:3]
    case = services.plan_inspection(city.dispatcher, city.enterprises[2], OPENING, now=NOW)

    def unread(who) -> list[str]:
        rows = Message.objects.filter(user=who.user, kind="turn", read=None).order_by("pk")
        return [m.text_en.partition(":")[0] for m in rows]

    def act(name: str, **data) -> None:
        case.refresh_from_db()
        kernel.act(city.dispatcher, case.pk, name, case.version, data, now=NOW)

    act("set_team", team=[one.code, two.code])
    assert unread(one) == unread(two) == ["You inspect on 2026-11-25"]
    act("change_team", team=[one.code, three.code], text="调休")
    assert (unread(one), unread(two)) == (["Your team was changed"], [])
    assert "You inspect on 2026-11-25" in unread(three)
    act("reschedule", day="2026-11-30", text="降雪")
    assert unread(one) == unread(three) == ["Your inspection is moved to 2026-11-30"]
    assert Message.objects.filter(user=city.users["district"], kind="turn", read=None).exists()
