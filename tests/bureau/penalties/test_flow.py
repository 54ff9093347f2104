"""The way of a penalty, and everything that must not be possible on it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.utils import translation

from bureau.cases.city import finding
from bureau.penalties import office
from bureau.penalties.office import NOW, act, bring, open_penalty, order
from jingwei.bureau.cases import checks as case_checks
from jingwei.bureau.cases import services, tasks
from jingwei.bureau.cases.errors import Invalid, Refused
from jingwei.bureau.cases.models import Case, CaseEvent
from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.bureau.notices.models import Message
from jingwei.bureau.penalties import acts, checks, proposal, selectors
from jingwei.standards import discretion

pytestmark = pytest.mark.django_db


def refused(city, case, name, who, days=0, **changes):
    with translation.override("en"), pytest.raises(Refused) as error:
        act(city, case, name, who, days, **changes)
    return str(error.value)


def test_the_whole_way(city):
    parent = order(city)
    case = open_penalty(city, parent)
    assert case.state == "filing"
    assert case.facts == parent.facts
    assert "示例热电1厂涉嫌" in case.title
    bring(city, case, "propose")
    told = case.detail["proposal"]
    # 10 + 0 + 8 + 0 + 0 + 2 + 4 = 24 % of 1,000,000.
    assert (told["rule"], told["amount"], told["deviates"]) == ("CODE-1107", "240000.00", False)
    kinds = {e["kind"] for e in told["exhibits"]}
    assert {"finding", "case_event"} <= kinds
    bring_on = [w for w in office.WAY if w[0] not in ("approve", "propose")]
    for name, who, days in bring_on:
        act(city, case, name, who, days)
    assert case.state == "closed"
    assert case.number == case.detail["decision"]["number"] == "示环罚〔2026〕1号"
    assert case.detail["notice"]["number"] == "示环罚告〔2026〕1号"
    assert case.detail["payment"]["surcharge"] == "0.00"
    entry = EvidenceEntry.objects.get(pk=case.detail["published"]["entry"])
    assert entry.kind == "penalty"
    assert not entry.actor
    assert [*case_checks.replay(case), *checks.check()] == []


def test_three_people(city):
    case = open_penalty(city)
    bring(city, case, "propose")
    # The district officer becomes a dispatcher, then a leader: still the investigator.
    city.district.role = "dispatcher"
    city.district.save()
    assert "another person" in refused(city, case, "pass", "district", 2)
    assert "another person" in refused(city, case, "back", "district", 2)
    city.district.role = "district"
    city.district.save()
    for name in ("pass", "notify", "speak", "recheck"):
        act(city, case, name, {n: w for n, w, _ in office.WAY}[name], 5)
    for who in ("reviewer", "district"):
        user = city.people[who]
        before, user.role = user.role, "leader"
        user.save()
        assert "another person" in refused(city, case, "decide", who, 6)
        user.role = before
        user.save()
    act(city, case, "decide", "leader", 7)


def test_who_filed_does_not_review(city):
    case = services.open_case(
        city.dispatcher, (), office.OPEN, flow="penalty", parent=order(city), now=NOW
    )
    act(city, case, "approve", "leader")
    act(city, case, "propose", "district")
    assert "another person" in refused(city, case, "pass", "dispatcher")
    act(city, case, "pass", "reviewer")


def test_the_party_knows_nothing_before_the_notice(city):
    case = bring(city, open_penalty(city), "pass")
    mine = Case.objects.restrict(city.enterprise, "case.view").filter(flow="penalty")
    assert not mine.exists()
    act(city, case, "notify", "district", 3)
    assert mine.get() == case
    shown = selectors.panel(case, city.enterprise)
    assert shown["computed"]
    assert not shown["comparison"]
    assert not shown["similar"]
    from jingwei.bureau.cases.selectors import timeline

    assert [e.transition for e in timeline(city.enterprise, case)] == ["notify"]
    for who in ("enterprise2", "department", "district2"):
        user = city.people[who]
        assert not Case.objects.restrict(user, "case.view").filter(pk=case.pk).exists(), who


def test_periods(city):
    case = open_penalty(city)
    act(city, case, "approve", "leader")
    # 90 days after Monday 2026-11-02: 2027-01-31 is a Sunday, so it ends on the Monday.
    assert case.due.isoformat() == "2027-02-01T15:59:59+00:00"
    assert "第六十条" in case.derivation[0]["zh"]
    assert "2027" in case.derivation[0]["zh"]  # the warning: no holiday notice yet
    act(city, case, "propose", "district")
    act(city, case, "pass", "reviewer")
    act(city, case, "notify", "district")
    # Five working days after Monday the 2nd: Monday the 9th.
    assert case.detail["notice"]["until"].startswith("2026-11-09T15:59:59")
    assert "until the end of" in refused(city, case, "lapse", "district", 7)
    assert "ran out" in refused(city, case, "speak", "enterprise", 8)
    assert "ran out" in refused(city, case, "ask_hearing", "enterprise", 8)
    act(city, case, "lapse", "district", 8)
    assert case.state == "deciding"


def test_hearing(city):
    case = bring(city, open_penalty(city), "notify")
    due = case.due
    act(city, case, "ask_hearing", "enterprise", 4)
    assert "Announce" in refused(city, case, "hold", "reviewer", 5)
    # Announced on Friday 2026-11-06: seven working days are over on Tuesday the 17th.
    assert "not before 2026-11-18" in refused(
        city, case, "announce", "reviewer", 4, on="2026-11-17"
    )
    act(city, case, "announce", "reviewer", 4, on="2026-11-18")
    assert "is on 2026-11-18" in refused(city, case, "hold", "reviewer", 15)
    act(city, case, "hold", "reviewer", 16)
    # 2026-11-06 to 18: twelve days do not count. Without them the 90 days end on Sunday the 31st
    # of January (so on Monday), with them on Friday the 12th of February.
    assert due.isoformat().startswith("2027-02-01")
    assert case.due.isoformat() == "2027-02-12T15:59:59+00:00"
    assert "听证" in case.derivation[-1]["zh"]
    # Nobody is punished harder because he was heard.
    assert "harder" in refused(city, case, "recheck", "reviewer", 17, amount="240000.01")
    act(city, case, "recheck", "reviewer", 17, amount="240000", accepted="none")
    act(city, case, "decide", "leader", 18, amount="240000")
    assert not case.detail["decision"]["deviates"]


def test_who_speaks_early_may_still_ask_for_a_hearing(city):
    case = bring(city, open_penalty(city), "notify")  # on Thursday the 5th, until the 12th
    act(city, case, "speak", "enterprise", 4, final="")
    assert case.state == "rechecking"
    assert "until the end of 2026-11-12" in refused(city, case, "recheck", "reviewer", 5)
    act(city, case, "speak", "enterprise", 5, final="", text="补充意见")
    act(city, case, "ask_hearing", "enterprise", 7)
    assert case.state == "hearing"
    act(city, case, "withdraw", "enterprise", 8)
    assert "already" in refused(city, case, "ask_hearing", "enterprise", 8)
    # What was said before is not lost with the hearing.
    assert case.state == "rechecking"
    assert "has said something" in refused(
        city, case, "recheck", "reviewer", 11, accepted="nothing"
    )
    act(city, case, "recheck", "reviewer", 11)
    assert case.state == "deciding"


def test_who_has_said_all_need_not_be_waited_for(city):
    case = bring(city, open_penalty(city), "speak")
    assert "nothing to add" in refused(city, case, "speak", "enterprise", 5)
    assert "nothing to add" in refused(city, case, "ask_hearing", "enterprise", 5)
    act(city, case, "recheck", "reviewer", 5)


def test_a_hearing_at_which_nobody_was(city):
    case = bring(city, open_penalty(city), "notify")
    act(city, case, "ask_hearing", "enterprise", 4)
    act(city, case, "announce", "reviewer", 4)
    act(city, case, "absent", "reviewer", 18)
    assert "Nothing was said" in refused(city, case, "recheck", "reviewer", 19, accepted="none")
    act(city, case, "recheck", "reviewer", 19, accepted="nothing", amount="240000")
    assert case.state == "deciding"


def test_the_time_to_be_heard_runs_from_the_receipt(city):
    case = bring(city, open_penalty(city), "pass")
    assert "day of receipt" in refused(city, case, "notify", "district", 6, received="2026-11-02")
    assert "day of receipt" in refused(city, case, "notify", "district", 6, received="2026-11-09")
    # Received on Thursday the 5th, entered on Sunday the 8th: five working days, the 12th.
    act(city, case, "notify", "district", 6, received="2026-11-05")
    assert case.detail["notice"]["until"].startswith("2026-11-12T15:59:59")


def test_periods_follow_the_calendar_of_the_bureau(city):
    from jingwei.bureau.accounts.models import CalendarChange

    case = bring(city, open_penalty(city), "pass")
    for day in ("2026-11-06", "2026-11-09"):
        CalendarChange.objects.create(
            date=day, kind="rest", name="暴雪停工", at=NOW, by=city.dispatcher
        )
    act(city, case, "notify", "district", 3)
    # Thursday the 5th: Friday and Monday are off, so Monday the 16th.
    assert case.detail["notice"]["until"].startswith("2026-11-16T15:59:59")


def test_an_appraisal_does_not_count(city):
    case = bring(city, open_penalty(city), "approve")
    assert case.due.isoformat().startswith("2027-02-01")
    act(city, case, "pause", "reviewer", 1)
    assert case.running_due is None
    act(city, case, "resume", "reviewer", 11)
    # Ten days more: Wednesday 2027-02-10, not Thursday, as the Sunday is not moved twice.
    assert case.due.isoformat() == "2027-02-10T15:59:59+00:00"
    assert "10 日" in case.derivation[-1]["zh"]
    assert [*case_checks.replay(case), *case_checks.check()] == []


def test_a_small_fine_gives_no_hearing(city):
    case = open_penalty(city, order(city, multiple=0.05))
    act(city, case, "approve", "leader")
    act(city, case, "propose", "district", amount="150000")
    assert case.detail["proposal"]["deviates"]
    act(city, case, "pass", "reviewer")
    act(city, case, "notify", "district")
    assert case.detail["notice"]["hearing"] is False
    assert "below the amount" in refused(city, case, "ask_hearing", "enterprise", 1)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"amount": "1000000.01"}, "at most"),
        ({"amount": "99999.99"}, "art. 32"),
        ({"circumstances": ["apology"], "share": "60"}, "outside 30"),
    ],
)
def test_amounts_the_law_does_not_allow(city, changes, why):
    case = open_penalty(city)
    act(city, case, "approve", "leader")
    assert why in refused(city, case, "propose", "district", **changes)


def test_below_the_law_with_a_ground(city):
    case = open_penalty(city)
    act(city, case, "approve", "leader")
    act(city, case, "propose", "district", amount="60000", circumstances=["removed"])
    assert case.detail["proposal"]["amount"] == "60000.00"
    assert list(checks.check()) == []


def test_a_missing_or_unknown_grade_is_told(city):
    case = open_penalty(city)
    act(city, case, "approve", "leader")
    for wrong in ("", "9", "x"):
        with pytest.raises(Invalid) as error:
            act(city, case, "propose", "district", grades_place=wrong)
        assert "grades" in error.value.form.errors


def test_decisions_that_need_more(city):
    case = bring(city, open_penalty(city), "recheck")
    assert "collective" in refused(city, case, "decide", "leader", 7, collective="")
    assert "was announced" in refused(city, case, "decide", "leader", 7, amount="240001")
    # Less than the table, below 200,000: a departure needs the collective too.
    assert "collective" in refused(
        city, case, "decide", "leader", 7, amount="150000", collective=""
    )
    act(city, case, "decide", "leader", 7)


def test_no_penalty(city):
    case = open_penalty(city, order(city, multiple=0.08))
    act(city, case, "approve", "leader")
    assert selectors.panel(case, city.district)["may_fit"].key == "GD-8"
    act(city, case, "propose_none", "district")
    assert "No fine" in refused(city, case, "pass", "reviewer")
    act(city, case, "pass_other", "reviewer")
    assert "Something else" in refused(city, case, "decide", "leader")
    act(city, case, "decide_none", "leader")
    assert (case.state, case.detail["no_penalty"]["number"]) == (
        "no_penalty",
        "示环不罚〔2026〕1号",
    )
    assert Case.objects.restrict(city.enterprise, "case.view").filter(pk=case.pk).exists()


def test_two_channels_to_the_police(city):
    """Detention goes beside the fine; a suspected crime ends the case of the office."""
    case = open_penalty(city)
    assert "no detention" in refused(city, bring(city, case, "approve"), "refer", "leader")
    act(city, case, "reclassify", "district", offence="air.evaded")
    assert case.basis == "《中华人民共和国生态环境法典》第一千一百零八条"
    act(city, case, "refer", "leader")
    assert case.state == "investigating"
    assert case.detail["referral"]["number"] == "示环拘移〔2026〕1号"
    assert "already" in refused(city, case, "refer", "leader")
    act(city, case, "propose_crime", "district")
    act(city, case, "pass_other", "reviewer")
    act(city, case, "decide_crime", "leader")
    assert case.state == "transferred"
    assert case.detail["crime"]["to"] == "市公安局"


def test_payment(city):
    case = bring(city, open_penalty(city), "serve")
    # Received on Tuesday 2026-11-10: 15 days, Wednesday the 25th.
    assert case.detail["payment"]["due"] == "2026-11-25"
    act(city, case, "pay_part", "district", 9)
    assert "50,000.00 yuan would" in refused(city, case, "pay", "district", 9, amount="100000")
    assert "more than is owed" in refused(city, case, "pay", "district", 9, amount="150000.01")
    assert "everything" in refused(city, case, "pay_part", "district", 9, amount="150000")
    # Five days late, two of them in a review: 3 days x 6,000 yuan.
    act(city, case, "contest", "district", 24, since="2026-11-26")
    assert "running" in refused(city, case, "contest", "district", 25)
    act(city, case, "contest_end", "district", 26, until="2026-11-27")
    assert "No review" in refused(city, case, "contest_end", "district", 26)
    assert acts.owed(case, (NOW + timedelta(days=28)).date()) == {
        "fine": Decimal("200000.00"),
        "surcharge": Decimal("18000.00"),
        "days": 3,
        "paid": Decimal("50000.00"),
        "rest": Decimal("168000.00"),
    }
    act(city, case, "pay", "district", 28, on="2026-11-30", amount="168000")
    assert case.detail["payment"]["surcharge"] == "18000.00"
    assert "Publish" in refused(city, case, "close", "district", 28)
    act(city, case, "publish", "dispatcher", 28)
    assert "published already" in refused(city, case, "publish", "district", 28)
    act(city, case, "close", "district", 28)


def test_enforcement(city):
    case = bring(city, open_penalty(city), "serve")
    assert "not overdue" in refused(city, case, "urge", "district", 20)
    assert "reminder" in refused(city, case, "enforce", "leader", 30)
    act(city, case, "defer", "leader", 20, until="2026-12-10")
    act(city, case, "urge", "district", 40)
    assert "ten days" in refused(city, case, "enforce", "leader", 49)
    act(city, case, "enforce", "leader", 52)
    assert case.state == "enforcing"


def test_filing(city):
    case = open_penalty(city)
    act(city, case, "reject", "leader")
    assert case.state == "rejected"
    parent = order(city, 7)
    for changes, why in (
        ({"act_from": "2026-10-30"}, "begins before"),
        ({"act_to": "2026-11-03"}, "lies ahead"),
        ({"discovered": "2026-10-27"}, "begins before"),
        ({"act_from": "2023-01-01", "act_to": "2023-01-02", "harm": ""}, "limitation"),
    ):
        with translation.override("en"), pytest.raises(Refused, match=why):
            open_penalty(city, parent, **changes)
    for who in ("enterprise", "grid", "leader", "auditor", "district2"):
        with pytest.raises(Refused):
            services.open_case(
                city.people[who], (), office.OPEN, flow="penalty", parent=parent, now=NOW
            )


def test_from_a_finding_without_an_order(city):
    row = finding(city, 9)
    case = services.open_case(city.dispatcher, [row], office.OPEN, flow="penalty", now=NOW)
    act(city, case, "approve", "leader")
    assert case.facts[0]["finding"] == row.pk
    assert proposal.measured(case)["multiple"] == Decimal("0.51")


def test_repeats_and_similar_cases(city):
    earlier = {"act_from": "2026-10-20", "act_to": "2026-10-21", "discovered": "2026-10-22"}
    first = bring(city, open_penalty(city, **earlier), "decide")
    second = open_penalty(city, order(city, 2))
    act(city, second, "approve", "leader", 8)
    assert proposal.repeats(second) == 2
    assert proposal.suggested(second, proposal.sheet(second, acts.law.bases(
        "air.exceeded", NOW.date(), NOW.date())[0].penalty))["repeats"] == 2  # fmt: skip
    shown = selectors.panel(second, city.leader)
    assert [s["case"] for s in shown["similar"]] == [first]
    assert [str(c["amount"]) for c in shown["comparison"]] == ["125000.00"]  # Jiangmen, tier 1
    act(city, first, "revoke", "leader", 9)
    assert proposal.repeats(second) == 1


def test_a_table_of_the_place_goes_before_one_of_another(city, monkeypatch):
    case = bring(city, open_penalty(city), "approve")
    basis = proposal.bases(case, NOW)[0].penalty
    assert proposal.sheet(case, basis).key == "GD-3.4.1"
    shown = selectors.panel(case, city.leader)
    assert shown["foreign"]
    assert shown["may_fit"] is None  # 0.51 times over
    guangdong = discretion.sheets()["GD-3.4.1"]
    own = replace(guangdong, key="BJ", table=replace(guangdong.table, key="beijing", area="11"))
    more = {**discretion.sheets(), "BJ": own}
    monkeypatch.setattr(discretion, "sheets", lambda: more)
    assert proposal.sheet(case, basis).key == "BJ"
    assert not selectors.panel(case, city.leader)["foreign"]


def test_fsck_finds_a_changed_amount(city):
    case = bring(city, open_penalty(city), "publish")
    assert list(checks.check()) == []
    changed = {**case.detail, "decision": {**case.detail["decision"], "amount": "100000.00"}}
    Case.objects.filter(pk=case.pk).update(detail=changed)
    assert any("not what was decided" in p for p in checks.check())
    proposed = {**case.detail["proposal"], "computed": {**case.detail["proposal"]["computed"]}}
    proposed["computed"]["amount"] = "230000.00"
    Case.objects.filter(pk=case.pk).update(detail={**case.detail, "proposal": proposed})
    assert any("its table gives 240000.00" in p for p in checks.check())


def test_forms_need_words(city):
    case = bring(city, open_penalty(city), "approve")
    with pytest.raises((Invalid, ValidationError)):
        act(city, case, "propose", "district", text="")


# --- the consecutive daily penalty ---------------------------------------------------------------


def followed(city, until="decide"):
    """A fine that is decided, and the case that follows it, filed."""
    fine = bring(city, open_penalty(city), until)
    case = services.open_case(
        city.district, (), office.OPEN, flow="penalty", parent=fine, now=NOW + timedelta(days=9)
    )
    act(city, case, "approve", "leader", 9)
    return fine, case


def test_a_daily_penalty_follows_a_fine_and_is_decided_by_people(city):
    fine, case = followed(city)
    assert fine.detail["decision"]["amount"] == "200000.00"
    assert "daily penalty, or none" in refused(city, case, "propose", "district", 9)
    act(city, case, "propose_daily", "district", 9)
    told = case.detail["proposal"]
    # Served on 10-29, found again on 11-02: four days.
    assert told["amount"] == told["highest"] == "800000.00"
    assert [step["result"] for step in told["computed"]["steps"]] == [
        "200000.00", "4 d", "4", "800000.00",
    ]  # fmt: skip
    assert "1060" in told["cite_en"]
    assert (told["verified"], told["daily"]["number"]) == ("secondary", fine.number)
    assert case.basis == told["cite_zh"]
    act(city, case, "pass", "reviewer", 10)
    act(city, case, "notify", "district", 11)
    assert case.detail["notice"]["hearing"]
    act(city, case, "speak", "enterprise", 12)
    assert "800,000" in refused(city, case, "recheck", "reviewer", 13, amount="200000")
    act(city, case, "recheck", "reviewer", 13, amount="800000")
    assert "800,000" in refused(city, case, "decide", "leader", 14, amount="799999")
    assert "collective" in refused(
        city, case, "decide", "leader", 14, amount="800000", collective=""
    )
    act(city, case, "decide", "leader", 14, amount="800000")
    act(city, case, "serve", "district", 15, received="2026-11-17")
    act(city, case, "publish", "district", 15)
    act(city, case, "pay", "district", 16, on="2026-11-17", amount="800000")
    act(city, case, "close", "district", 17)
    assert [*case_checks.replay(case), *checks.check()] == []
    # It is no repetition of the offence by itself.
    assert proposal.repeats(fine) == 1
    Case.objects.filter(pk=case.pk).update(
        detail={**case.detail, "proposal": {**told, "amount": "700000.00"}}
    )
    assert any("800000.00 yuan" in problem for problem in checks.check())


@pytest.mark.parametrize(
    ("served", "rechecked", "why"),
    [
        ("2026-10-29", "2026-10-29", "after the day"),
        ("2026-10-01", "2026-11-01", "within thirty days"),
        ("2026-10-29", "2026-11-28", "lie ahead"),
    ],
)
def test_days_of_a_daily_penalty_that_the_law_does_not_know(city, served, rechecked, why):
    _fine, case = followed(city)
    told = refused(city, case, "propose_daily", "district", 9, served=served, rechecked=rechecked)
    assert why in told
    case.refresh_from_db()
    assert case.state == "investigating"


def test_a_daily_penalty_without_a_decided_fine(city):
    case = bring(city, open_penalty(city), "approve")
    assert "follows a decided fine" in refused(city, case, "propose_daily", "district", 1)
    noticed = bring(city, open_penalty(city, order(city, 2)), "notify")
    for parent, offence, why in (
        (noticed, "air.exceeded", "Only a decided fine"),
        (bring(city, open_penalty(city, order(city, 3)), "decide"), "air.evaded", "was fined"),
    ):
        with translation.override("en"), pytest.raises(Refused, match=why):
            services.open_case(
                city.district, (), {**office.OPEN, "offence": offence}, flow="penalty",
                parent=parent, now=NOW + timedelta(days=9),
            )  # fmt: skip


def test_a_revoked_fine_has_no_daily_penalty(city):
    fine, case = followed(city)
    act(city, fine, "revoke", "leader2", 9)
    assert "Only a decided fine" in refused(city, case, "propose_daily", "district", 9)


# --- what is told ---------------------------------------------------------------------------------


def told(who, kind):
    return list(
        Message.objects.filter(user=who, kind=kind).order_by("pk").values_list("text_zh", flat=True)
    )


def test_a_decision_that_is_not_published_in_time_is_told_once(city):
    case = bring(city, open_penalty(city), "serve")
    # Decided on Monday the 9th of November: seven working days, Wednesday the 18th.
    assert case.wake_at.isoformat().startswith("2026-11-18T15:59:59")
    tasks.tick(NOW + timedelta(days=16))
    assert not case.events.filter(transition="unpublished").exists()
    for day in (17, 18):
        tasks.tick(NOW + timedelta(days=day))
    assert case.events.filter(transition="unpublished").count() == 1
    assert sum("未按期公开" in text for text in told(city.dispatcher, "overdue")) == 1
    assert sum("未按期公开" in text for text in told(city.district, "overdue")) == 1
    assert not any("未按期公开" in text for text in told(city.enterprise, "overdue"))
    assert list(case_checks.check()) == []


def test_a_published_or_revoked_decision_wakes_nobody(city):
    one = bring(city, open_penalty(city), "publish")
    two = bring(city, open_penalty(city, order(city, 2)), "serve")
    act(city, two, "revoke", "leader", 9)
    assert (one.wake_at, two.wake_at) == (None, None)
    tasks.tick(NOW + timedelta(days=30))
    assert not CaseEvent.objects.filter(transition="unpublished").exists()


def test_the_party_hears_of_what_moves_its_deadline(city):
    case = bring(city, open_penalty(city), "serve")
    act(city, case, "defer", "leader", 9)
    assert any("批准延期、分期缴纳" in text for text in told(city.enterprise, "case"))
    before = len(told(city.enterprise, "case"))
    act(city, case, "comment", "leader", 9)  # an internal one
    assert len(told(city.enterprise, "case")) == before
    assert any(text.startswith("留言") for text in told(city.district, "case"))
