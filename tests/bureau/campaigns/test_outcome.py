"""What comes of a campaign: its evaluation, coded causes, recommendations."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from bureau.campaigns.conftest import begin
from bureau.cases.city import NOW, do, handle
from jingwei.bureau.campaigns import acting, checks, evaluating, selectors, services, tasks
from jingwei.bureau.campaigns.models import Evaluation, Programme, Recommendation
from jingwei.bureau.cases.errors import Refused
from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.bureau.monitoring.models import Exceedance, TransmissionDay
from jingwei.bureau.notices.models import Message
from jingwei.bureau.registry.models import Point
from jingwei.telemetry.lake import SPREAD, LakeError

TODAY = date(2026, 12, 20)


def campaign(city, **changes):
    values = {"begins": date(2026, 11, 10), "ends": date(2026, 11, 30), **changes}
    return begin(city, "campaign", **values)


class Reads:
    """A lake that answers from a table, and keeps what it was asked."""

    def __init__(self, answers):
        self.answers, self.asked = answers, []

    def spread(self, resolution, start, end, wanted, normal):
        import pyarrow as pa

        self.asked.append((resolution, start, end, sorted(wanted)))
        assert "N" in normal
        assert "M" not in normal
        rows = self.answers[len(self.asked) - 1]
        return pa.Table.from_pylist(rows, schema=SPREAD)


def cell(label, mean, valid=100, converted=True):
    return {
        "label": label, "converted": converted, "points": 2, "received": valid + 5, "valid": valid,
        "mean": mean, "p95": mean * 2,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("today", "names"),
    [
        (date(2026, 11, 10), ["before"]),
        (date(2026, 11, 20), ["before", "during"]),
        (date(2026, 12, 1), ["before", "during"]),
        (date(2026, 12, 2), ["before", "during", "after"]),
    ],
)
def test_stretches_end_yesterday(city, today, names):
    found = evaluating.stretches(campaign(city), today)
    assert [name for name, _, _ in found] == names
    assert found[0][1:] == (date(2026, 10, 20), date(2026, 11, 9))
    assert all(last < max(today, date(2026, 11, 11)) for _, _, last in found)


def test_a_long_campaign_is_read_next_to_its_ends(city):
    row = campaign(city, begins=date(2026, 1, 1), ends=date(2026, 10, 31))
    (_, a, b), (_, c, d), (_, e, f) = evaluating.stretches(row, date(2027, 6, 1))
    assert (a, b) == (date(2025, 10, 1), date(2025, 12, 31))
    assert (c, d) == (date(2026, 8, 1), date(2026, 10, 31))
    assert (e, f) == (date(2026, 11, 1), date(2027, 1, 31))


def test_an_evaluation_compares_with_other_regions(city, client, monkeypatch):
    inside = Point.objects.filter(kind="source", outlet__isnull=False).first()
    row = campaign(city, regions=[inside.region], matters=["industry"])
    label = next(
        f"inside {what}"
        for mn, _st, _sent, what in evaluating._wanted(evaluating._points(row)["inside"])
        if mn == inside.mn
    )
    code = label.split()[2]
    other = label.replace("inside", "outside")
    answers = [
        [cell(label, 40.0), cell(other, 30.0)],
        [
            cell(label, 50.0, valid=50, converted=False),
            cell(label, 20.0, valid=150),
            cell(label.replace("source", "air_station"), 9.0, converted=False),
            cell(other, 30.0),
        ],
        [cell(label, 30.0)],
    ]
    reads = Reads(answers)
    monkeypatch.setattr(evaluating, "lake", lambda: reads)
    start = timezone.make_aware(timezone.datetime(2026, 11, 10))
    TransmissionDay.objects.create(
        point=inside, day=date(2026, 11, 12), since=start, expected=100, received=90, valid=80,
        stopped=20,
    )  # fmt: skip
    stands = Exceedance.objects.filter(withdrawn="", factor=code, period="hour", point=inside)
    made = services.evaluate(city.dispatcher, row, TODAY, token="page")
    assert services.evaluate(city.dispatcher, row, TODAY, token="page") == made
    assert [asked[1:3] for asked in reads.asked][1] == (
        start, timezone.make_aware(timezone.datetime(2026, 12, 1))
    )  # fmt: skip
    rows = {(r["side"], r["factor"]): r["cells"] for r in made.figures["rows"] if r["converted"]}
    during = rows["inside", code]["during"]
    assert (during["mean"], during["p95"], during["valid"]) == (20.0, 40.0, 150)
    others = [r["cells"]["during"] for r in made.figures["rows"] if not r["converted"]]
    assert len(others) == 2
    assert not any("exceeded" in other for other in others)
    count = stands.filter(time__gte=start, time__lt=start + timedelta(days=21)).count()
    assert during["exceeded"] == count
    assert during["per_1000"] == 5 * count
    assert "after" not in rows["outside", code]
    coverage = made.figures["sides"]["inside"]["during"]
    assert (coverage["due"], coverage["valid"], coverage["coverage"]) == (80, 80, 1.0)
    assert list(checks.check()) == []
    client.force_login(city.dispatcher)
    page = client.get(row.get_absolute_url()).content.decode()
    for word in ("其他区域同期", "-25.0 %", "未扣除气象影响"):
        assert word in page, word
    assert "均值 20.0" in client.get(reverse("campaigns:report", args=[row.pk])).content.decode()
    Evaluation.objects.filter(pk=made.pk).update(figures={"rows": []})
    assert any("evaluation" in problem for problem in checks.check())


def test_who_evaluates_is_told_once_when_the_days_afterwards_are_over(city, monkeypatch):
    row = campaign(city, begins=date(2026, 11, 1), ends=date(2026, 11, 10))
    key = f"campaign-evaluate:{row.pk}"

    def told(day: int) -> int:
        for _again in range(2):
            tasks.tick(timezone.make_aware(timezone.datetime(2026, 11, day, 1)))
        return Message.objects.filter(key=key, user=city.dispatcher, read=None).count()

    assert told(21) == 0  # not closed yet
    acting.conclude(city.dispatcher, row.pk, "完成", {})
    assert told(20) == 0
    assert told(21) == 1
    monkeypatch.setattr(evaluating, "lake", lambda: Reads([[], [], []]))
    services.evaluate(city.dispatcher, row, date(2026, 11, 21))
    assert told(22) == 0
    Message.objects.filter(key=key).delete()
    Evaluation.objects.update(at=timezone.make_aware(timezone.datetime(2026, 11, 20, 23)))
    assert told(22) == 1  # that one did not see the last day
    Message.objects.filter(key=key).delete()
    Evaluation.objects.update(at=timezone.make_aware(timezone.datetime(2026, 11, 21, 1)))
    assert told(22) == 0


def test_matters_choose_what_is_looked_at(city):
    sources = evaluating._points(campaign(city, matters=["industry"]))["inside"]
    assert sources
    assert {p.kind for p, _ in sources} == {"source"}
    Point.objects.create(
        mn="MICRO00000000001", st="22", name="示例微站", kind="micro_station", region=city.regions[0],
        longitude=116.4, latitude=39.9, factors=["a34004"], password="123456",
    )  # fmt: skip
    dust = evaluating._points(campaign(city, matters=["construction"]))["inside"]
    assert {p.kind for p, _ in dust} <= {"air_station"}
    assert all(set(factors) <= {"a34002", "a34004"} for _, factors in dust)


def test_an_evaluation_is_refused_with_words(city, client, monkeypatch):
    today = timezone.localdate()
    row = begin(city, "campaign", begins=today, ends=today + timedelta(days=3))
    with pytest.raises(Refused):
        services.evaluate(city.dispatcher, row)
    with pytest.raises(Refused):
        services.evaluate(city.grid, campaign(city, title="b"), TODAY)
    with pytest.raises(Refused):
        services.evaluate(city.dispatcher, begin(city, "list"), TODAY)

    def broken(*_words):
        raise LakeError("gone")

    monkeypatch.setattr(evaluating, "evaluate", broken)
    client.force_login(city.dispatcher)
    past = begin(city, "campaign", begins=today - timedelta(days=9), ends=today)
    page = client.post(reverse("campaigns:write", args=[past.pk, "evaluate"]), follow=True)
    assert "暂时无法读取" in page.content.decode()
    assert not Evaluation.objects.exists()


def closed(city, number, code):
    case = handle(city, number)
    do(
        city.dispatcher,
        case,
        "dispatch",
        department=case.department_id and city.district.department_id,
    )
    do(city.district, case, "sign")
    do(city.district, case, "nothing", cause_code=code)
    do(city.dispatcher, case, "confirm")
    return case


def test_recurring_causes_propose_what_a_person_confirms(city, client):
    today = timezone.localdate()
    row = begin(city, "campaign", begins=NOW.date() - timedelta(days=1), ends=NOW.date())
    cases = [closed(city, n, "wear") for n in (1, 2)]
    closed(city, 3, "operation")
    closed(city, 4, "falsification")
    found = {c.code: c.count for c in selectors.causes(city.dispatcher, row)}
    assert found == {"wear": 2, "operation": 1, "falsification": 1}
    assert cases[0].detail["cause_code"] == "wear"
    client.force_login(city.dispatcher)
    page = client.get(row.get_absolute_url())
    assert {p["cause"].code for p in page.context["proposals"]} == {"wear", "falsification"}
    assert "设备老化" in page.content.decode()

    def write(what, **data):
        return client.post(reverse("campaigns:write", args=[row.pk, what]), data)

    words = {
        "cause": "wear", "measure": "更换老旧布袋", "department": city.centre.pk,
        "due": (today + timedelta(days=60)).isoformat(),
    }  # fmt: skip
    assert write("recommend", **{**words, "measure": ""}).status_code == 422
    assert write("recommend", **{**words, "due": today.isoformat()}).status_code == 409
    assert write("recommend", **{**words, "cause": "weather"}).status_code == 409
    assert not Recommendation.objects.exists()
    sent = {**words, "token": "page"}
    for _twice in range(2):
        assert write("recommend", **sent).status_code == 302
    again = write("recommend", **{**words, "measure": "另一措施"})
    assert again.status_code == 409
    assert "另一措施" in again.content.decode()
    made = Recommendation.objects.get()
    assert (made.count, made.evidence.kind) == (2, "campaign")
    assert "布袋" not in made.evidence.content
    assert list(checks.check()) == []
    Programme.objects.filter(pk=row.pk).update(conclusion="")
    report = client.get(reverse("campaigns:report", args=[row.pk])).content.decode()
    assert "更换老旧布袋" in report
    assert "确认建议" not in report
    for _twice in range(2):
        assert write("withdraw", recommendation=made.pk).status_code == 302
    assert write("recommend", **sent).status_code == 302, "the form of before, from its old page"
    assert not row.recommendations.filter(withdrawn__isnull=True).exists()
    assert EvidenceEntry.objects.filter(content__contains='"withdraw"').count() == 1
    assert write("recommend", **words).status_code == 302
    assert list(checks.check()) == []
    Recommendation.objects.filter(withdrawn__isnull=True).update(measure="改")
    assert any("measure" in problem for problem in checks.check())
    client.force_login(city.grid)
    assert write("recommend", **words).status_code == 403
