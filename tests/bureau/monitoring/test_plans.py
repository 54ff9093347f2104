"""Self-monitoring: completion, publication, what is missing or late; entering, correcting, import."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from django.utils import timezone, translation

from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.bureau.findings.models import Finding
from jingwei.bureau.monitoring import plans
from jingwei.bureau.monitoring.models import TransmissionDay
from jingwei.bureau.notices.models import Message
from jingwei.bureau.registry import selfmonitoring
from jingwei.bureau.registry.models import ManualResult, MonitoringPlan

from .conftest import City, make_enterprise, make_user

pytestmark = pytest.mark.django_db
TODAY = date(2026, 11, 20)
NOW = datetime(2026, 11, 20, 4, tzinfo=UTC)


@pytest.fixture(autouse=True)
def in_english(client):
    client.cookies["django_language"] = "en"
    with translation.override("en"):
        yield


def plan(city: City, **more) -> MonitoringPlan:
    given = {
        "permit": city.permit, "outlet": city.outlet, "factor": "a21026", "means": "manual",
        "every": "quarter", "times": 1, "report_days": 10, "publish_days": 15,
        "valid_from": date(2026, 1, 1),
    }  # fmt: skip
    return selfmonitoring.add_line(None, **(given | more))


def result(city: City, sampled: date, user=None, **more) -> ManualResult:
    given = {
        "factor": "a21026", "sampled": sampled, "value": Decimal("12.5"), "unit": "mg/m3",
        "report": f"BG-{sampled}", "reported": sampled + timedelta(days=5),
        "published": sampled + timedelta(days=6),
    }  # fmt: skip
    return selfmonitoring.enter(user, city.outlet, **(given | more))


def test_a_line_counts_whole_periods_that_are_over(city: City):
    made = plan(city)
    result(city, date(2026, 2, 3))
    result(city, date(2026, 8, 3), reported=date(2026, 9, 3), published=None)
    (line,) = plans.lines([made], 2026, TODAY)
    assert (line.done.due, line.done.done, line.missing) == (3, 2, 1)
    assert line.done.missing == ((date(2026, 4, 1), 1),)
    assert (line.late, line.unpublished) == (1, 1)
    assert line.completion == pytest.approx(2 / 3)
    assert line.publication == 0.5


def test_a_corrected_result_counts_once(city: City):
    made = plan(city, every="month", times=2)
    old = result(city, date(2026, 3, 3))
    new = result(city, date(2026, 3, 3), value=Decimal(9), replaces=old)
    old.refresh_from_db()
    assert (old.replaced_by, old.value) == (new, Decimal("12.5"))
    (line,) = plans.lines([made], 2026, date(2026, 4, 1))
    assert line.done.done == 1
    with pytest.raises(ValidationError, match="corrected already"):
        result(city, date(2026, 3, 3), value=Decimal(8), report="x", replaces=old)
    assert EvidenceEntry.objects.filter(kind="manual_result").count() == 2


def test_an_automatic_line_counts_what_came(city: City):
    made = plan(city, factor="a21002", means="automatic", every="day")
    TransmissionDay.objects.create(
        point=city.point, day=date(2026, 5, 5), since=NOW, expected=48, received=36, valid=36
    )
    (line,) = plans.lines([made], 2026, TODAY)
    assert line.completion == 0.75
    assert line.missing == 0


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"factor": "nonsense"}, "factor"),
        ({"factor": "w01018"}, "factor"),
        ({"unit": "mg/L"}, "unit"),
        ({"value": Decimal(-1)}, "value"),
        ({"reported": date(2026, 1, 1)}, "reported"),
        ({"sampled": date(2200, 1, 1), "reported": date(2200, 1, 1)}, "sampled"),
        ({"published": date(2026, 1, 1)}, "published"),
    ],
)
def test_a_wrong_result_is_refused(city: City, more, field):
    with pytest.raises(ValidationError) as refused:
        result(city, more.pop("sampled", date(2026, 2, 3)), **more)
    assert field in refused.value.message_dict
    assert not ManualResult.objects.exists()


def test_the_same_report_counts_once(city: City):
    result(city, date(2026, 2, 3))
    with pytest.raises(ValidationError, match="already"):
        result(city, date(2026, 2, 3), value=Decimal(1))


def test_lines_of_the_plan_do_not_overlap(city: City, dispatcher):
    first = plan(city)
    with pytest.raises(ValidationError, match="end that one first"):
        plan(city, every="month")
    selfmonitoring.end_line(dispatcher, first, date(2026, 6, 30))
    plan(city, every="month", valid_from=date(2026, 7, 1))
    with pytest.raises(ValidationError, match="before it begins"):
        selfmonitoring.end_line(dispatcher, first, date(2025, 1, 1))
    with pytest.raises(ValidationError, match="may not"):
        selfmonitoring.end_line(make_user("auditor"), first, TODAY)


def test_what_is_missing_becomes_a_finding_and_a_message_once_a_day(city: City):
    user = make_user("enterprise", enterprise=city.outlet.enterprise.uscc)
    plan(city, every="month", valid_from=date(2026, 1, 1))
    result(city, date(2026, 9, 3))
    assert plans.remind(NOW) == 1  # October; the months before are no news any more
    finding = Finding.objects.get()
    assert finding.kind == "offline"
    assert "自行监测" in finding.title
    assert Message.objects.get().user == user
    assert plans.remind(NOW + timedelta(hours=1)) == 0
    assert plans.remind(NOW + timedelta(days=1)) == 0
    assert Message.objects.count() == 1


# Pages ------------------------------------------------------------------------------------------


def page(city: City) -> str:
    return reverse("monitoring:self_monitoring", args=[city.outlet.enterprise.uscc])


def posted(**more) -> dict[str, str]:
    today = timezone.localdate().isoformat()
    given = {
        "do": "result", "factor": "二氧化硫", "sampled": today, "value": "12.5", "unit": "mg/m³",
        "report": "BG-1", "reported": today, "published": "", "replaces": "",
    }  # fmt: skip
    return given | {k: str(v) for k, v in more.items()}


def test_an_enterprise_enters_its_own_results(city: City, client):
    _e, _p, other = make_enterprise(city.other, 2)
    client.force_login(make_user("enterprise", enterprise=city.outlet.enterprise.uscc))
    assert client.post(page(city), posted(outlet=city.outlet.pk)).status_code == 302
    made = ManualResult.objects.get()
    assert (made.factor, made.outlet) == ("a21026", city.outlet)
    wrong = client.post(page(city), posted(outlet=other.pk, report="x"))
    assert wrong.status_code == 422
    foreign = reverse("monitoring:self_monitoring", args=[other.enterprise.uscc])
    assert client.post(foreign, posted(outlet=other.pk)).status_code == 404
    assert ManualResult.objects.count() == 1
    client.post(page(city), {"do": "publish", "result": made.pk})
    made.refresh_from_db()
    assert made.published == timezone.localdate()
    refused = client.post(page(city), {"do": "line", "outlet": city.outlet.pk}, follow=True)
    assert "Your role may not do this" in refused.content.decode()


def test_wrong_forms_keep_what_was_typed(city: City, client, dispatcher):
    client.force_login(dispatcher)
    answer = client.post(page(city), posted(outlet=city.outlet.pk, unit="mg/L", report="MY-REPORT"))
    assert answer.status_code == 422
    assert "does not fit" in answer.content.decode()
    assert "MY-REPORT" in answer.content.decode()
    for do in ("end", "publish", "nonsense"):
        assert client.post(page(city), {"do": do, "result": "x", "line": "x"}).status_code in (302, 404)  # fmt: skip


def test_the_dispatcher_enters_the_plan(city: City, client, dispatcher):
    client.force_login(dispatcher)
    said = {
        "do": "line", "permit": city.permit.pk, "outlet": city.outlet.pk, "factor": "a21026",
        "means": "manual", "every": "quarter", "times": "1", "valid_from": "2026-01-01",
    }  # fmt: skip
    assert client.post(page(city), said).status_code == 302
    assert client.post(page(city), said).status_code == 422
    text = client.get(page(city)).content.decode()
    assert "quarter" in text
    client.post(page(city), {"do": "end", "line": MonitoringPlan.objects.get().pk, "day": "2026-06-30"})  # fmt: skip
    assert MonitoringPlan.objects.get().valid_to == date(2026, 6, 30)


def test_lists_and_corrections(city: City, client, dispatcher):
    plan(city)
    made = result(city, date(2026, 2, 3))
    client.force_login(dispatcher)
    for query in ("", "?show=missing", "?show=late", "?year=x", "?q=%00", "?region=1"):
        for name in ("plans", "plans_csv"):
            assert client.get(reverse(f"monitoring:{name}") + query).status_code == 200
    assert "示例热电1厂" in client.get(reverse("monitoring:plans")).content.decode()
    text = client.get(page(city) + f"?correct={made.pk}").content.decode()
    assert "Correct a result" in text
    assert f'value="{made.pk}"' in text
    assert client.get(page(city) + "?correct=999999999999999999").status_code == 200


def upload(*rows: str) -> SimpleUploadedFile:
    head = ",".join(names[0] for names in selfmonitoring.COLUMNS.values())
    return SimpleUploadedFile("r.csv", "\n".join([head, *rows]).encode())


def test_a_file_is_entered_whole_or_not_at_all(city: City, client, dispatcher):
    client.force_login(dispatcher)
    url = reverse("monitoring:results_import", args=[city.outlet.enterprise.uscc])
    good = "DA001,二氧化硫,2026-02-03,<3,mg/m3,,某公司,BG-1,2026/2/8,2026-02-09"
    bad = "DA009,二氧化硫,2026-02-03,1,mg/m3,,,BG-2,,"
    seen = client.post(url, {"file": upload(good), "do": "check"})
    assert seen.status_code == 200
    assert "What would be entered" in seen.content.decode()
    assert not ManualResult.objects.exists()
    assert client.post(url, {"file": upload(good, bad), "do": "write"}).status_code == 422
    assert not ManualResult.objects.exists()
    assert client.post(url, {"file": upload(good), "do": "write"}).status_code == 302
    made = ManualResult.objects.get()
    assert (made.below_detection, made.value, made.reported) == (True, 3, date(2026, 2, 8))
    again = client.post(url, {"file": upload(good), "do": "write"})
    assert again.status_code == 422
    for language, place in (("zh-hans", 0), ("en", 1)):
        client.cookies["django_language"] = language
        sent = client.get(reverse("monitoring:results_template_csv"))
        head = b"".join(sent.streaming_content).decode("utf-8-sig").splitlines()[0]
        assert head.split(",") == [n[place] for n in selfmonitoring.COLUMNS.values()]
    client.force_login(make_user("auditor"))
    assert client.get(url).status_code == 403
