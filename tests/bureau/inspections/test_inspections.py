"""Inspections: plan, team, what phones send, the signed record, what follows; who may what."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import uuid
from datetime import UTC, date, datetime, timedelta

import pypdf
import pytest
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import DatabaseError, transaction
from django.utils import timezone
from openpyxl import load_workbook

import printed
from jingwei.bureau.cases import clock
from jingwei.bureau.cases import services as kernel
from jingwei.bureau.cases.checks import replay
from jingwei.bureau.cases.errors import Refused
from jingwei.bureau.cases.models import Case
from jingwei.bureau.evidencelog import bundles
from jingwei.bureau.evidencelog.models import EvidenceEntry, Reading
from jingwei.bureau.findings.models import Finding
from jingwei.bureau.inspections import checks, pool, selectors, services
from jingwei.bureau.inspections.models import Answer, Photo, PlanItem, Record, Signature
from jingwei.bureau.registry.models import Enterprise
from jingwei.evidence import canonical
from jingwei.standards import checklists

from .conftest import NOW
from .test_draws import drawn

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d4944415478da"
    "63382020f01f00045401e01626a60b0000000049454e44ae426082"
)
OPENING = {"title": "专项检查", "origin": "targeted", "day": "2026-11-25", "text": ""}


@pytest.fixture
def team(city):
    """Two inspectors of the enterprise's district."""
    return [city.inspectors[0], city.inspectors[1]]


@pytest.fixture
def case(city, team) -> Case:
    """An inspection whose team is set."""
    row = services.plan_inspection(city.dispatcher, city.enterprises[2], OPENING, now=NOW)
    kernel.act(
        city.dispatcher, row.pk, "set_team", row.version, {"team": [i.code for i in team]}, now=NOW
    )
    row.refresh_from_db()
    return row


def answers(case, **change):
    """An answer to every item, as a phone sends them; `change` gives other values by code."""
    found = []
    for item in selectors.checklist(case):
        value = "yes" if item.kind == "check" else "0.5"
        found.append(
            {"item": item.code, "value": change.get(item.code, value), "note": "", "base": 0,
             "at": NOW.isoformat()}
        )  # fmt: skip
    return found


def snap(case, user, item="", content=PNG, **change):
    data = {
        "uid": str(uuid.uuid4()),
        "sha256": hashlib.sha256(content).hexdigest(),
        "item": item,
        "taken": NOW.isoformat(),
        "position": "116.4,39.9,12",
        **change,
    }
    upload = SimpleUploadedFile("x.jpg", content, "image/jpeg")
    return services.keep_photo(user, case.pk, data, upload, now=NOW)


def signature(side, name="", code=""):
    return {
        "side": side, "name": name, "code": code, "strokes": [[[1, 2, 0], [3, 4, 16]]],
        "picture": base64.b64encode(PNG).decode(),
    }  # fmt: skip


def signed(case, team, **change):
    return {
        "sheet": selectors.sheet_digest(case),
        "at": NOW.isoformat(),
        "refusal": None,
        "signatures": [
            *(signature("inspector", code=i.code) for i in team),
            signature("enterprise", "赵厂长"),
        ],
        **change,
    }


def act(user, case, name, data=None):
    case.refresh_from_db()
    kernel.act(user, case.pk, name, case.version, data or {}, now=NOW)
    case.refresh_from_db()


def test_the_whole_way_to_a_child_case(city, case, team) -> None:
    inspector = team[0].user
    district = city.users["district"]
    services.keep_answers(inspector, case.pk, answers(case, G03="no", V03="0.1"), now=NOW)
    case.refresh_from_db()
    assert case.state == "spot"
    with pytest.raises(Refused, match="G03、V03"):
        services.finish(inspector, case.pk, signed(case, team), now=NOW)
    photo = snap(case, inspector, "G03")
    wind = next(a for a in selectors.sheet(case, inspector)["answers"].items() if a[0] == "V03")
    said = {"item": "V03", "value": "0.1", "note": "集气罩过高", "base": wind[1]["version"]}
    services.keep_answers(team[1].user, case.pk, [said], now=NOW)
    record = services.finish(inspector, case.pk, signed(case, team), now=NOW)
    case.refresh_from_db()
    assert case.state == "signed"
    assert case.detail["problems"] == 2
    assert hashlib.sha256(canonical.dumps(record.content)).hexdigest() == record.sha256
    logged = json.loads(record.evidence.content)["content"]
    assert logged["sha256"] == record.sha256 == case.detail["record"]
    assert logged["photos"] == [photo.sha256]
    said = "".join(EvidenceEntry.objects.values_list("content", flat=True))
    assert "赵厂长" not in said
    assert str(inspector) not in said

    act(district, case, "problems", {"text": "两项不符合"})
    act(district, case, "hand_over", {"to": "order", "text": "标志牌缺失，风速不足"})
    finding = Finding.objects.get(pk=case.detail["finding"])
    assert finding.enterprise == case.enterprise
    child = kernel.open_case(
        city.dispatcher, [finding], {"title": "督办", "text": "整改", "basis": "许可证"},
        parent=case, now=NOW,
    )  # fmt: skip
    assert child.parent == case
    act(city.dispatcher, case, "publish")
    act(city.dispatcher, case, "close")
    assert case.state == "closed"
    assert list(replay(case)) == []
    assert list(checks.check()) == []


def test_a_draw_becomes_inspections_with_its_teams_and_results(city, client) -> None:
    draw = drawn(city)
    day = date(2026, 12, 10)
    opened = services.plan_from_draw(city.dispatcher, draw, day, now=NOW)
    assert len(opened) == len(draw.result["selected"])
    assert services.plan_from_draw(city.dispatcher, draw, day, now=NOW) == []
    teams = {i["code"]: sorted(i["inspectors"]) for i in draw.result["selected"]}
    for row in Case.objects.filter(flow="inspection"):
        assert row.state == "ready"
        assert row.detail["team"] == teams[row.enterprise.uscc]
        assert row.detail["origin"] == "random"
    plan = services.keep_plan(city.dispatcher, 2026, "年度计划", now=NOW)
    services.add_item(
        city.dispatcher, plan, origin="random", title="双随机", count=5, until=day, draw=draw
    )
    line = selectors.plan_lines(city.dispatcher, plan)[0]
    assert (line.opened, line.done) == (5, 0)
    with pytest.raises(Refused):
        services.add_item(
            city.dispatcher, plan, origin="targeted", title="x", count=1, until=day, draw=draw
        )
    assert PlanItem.objects.count() == 1
    with pytest.raises(Refused, match="双随机"):
        services.plan_inspection(
            city.dispatcher, city.enterprises[0], {**OPENING, "origin": "random"}, now=NOW
        )
    assert selectors.results(draw) == []


def test_a_team_is_two_who_may(city) -> None:
    case = services.plan_inspection(city.dispatcher, city.enterprises[2], OPENING, now=NOW)
    codes = [i.code for i in selectors.able(case)]
    assert codes == ["ZF000", "ZF001", "ZF002"]  # the others are of another district
    pool.recuse(city.dispatcher, city.inspectors[0], case.enterprise.uscc, "kin", "", now=NOW)
    city.inspectors[1].qualifications = ["sewage"]
    city.inspectors[1].save()
    assert [i.code for i in selectors.able(case)] == ["ZF002"]
    for wrong in (["ZF002"], ["ZF000", "ZF002"], ["ZF002", "ZF002"], ["ZF002", "ZF004"]):
        with pytest.raises(Refused):
            kernel.act(city.dispatcher, case.pk, "set_team", case.version, {"team": wrong}, now=NOW)
    case.refresh_from_db()
    assert case.state == "planned"


def test_a_planned_inspection_is_late_when_its_day_is_over(city, case) -> None:
    """However far ahead it is planned: on the planned day's end, not weeks after the team was set."""

    def delays(now: datetime) -> list[int]:
        clock.escalate(case.pk, now)
        assert list(replay(Case.objects.get(pk=case.pk))) == []
        rows = case.events.filter(transition="escalate").order_by("seq")
        return [e.data["level"] for e in rows]

    act(city.dispatcher, case, "reschedule", {"day": "2027-01-29", "text": "停产检修"})
    assert delays(datetime(2027, 1, 29, 15, 0, tzinfo=UTC)) == []
    assert "2027-01-29" in case.derivation[-1]["zh"]
    assert len(case.derivation) == 1
    assert delays(datetime(2027, 1, 29, 16, 0, tzinfo=UTC)) == [1]
    case.refresh_from_db()
    later = datetime(2027, 1, 30, 2, 0, tzinfo=UTC)
    data = {"day": "2027-01-29", "text": "改期"}
    with pytest.raises(Refused, match="计划日期已过"):
        kernel.act(city.dispatcher, case.pk, "reschedule", case.version, data, now=later)
    data = {"day": "2027-02-03", "text": "改期"}
    kernel.act(city.dispatcher, case.pk, "reschedule", case.version, data, now=later)
    case.refresh_from_db()
    assert case.escalated == 0
    assert delays(datetime(2027, 2, 3, 15, 0, tzinfo=UTC)) == [1]


def test_an_inspection_that_was_planned_before_gets_its_deadline(city, team) -> None:
    row = services.plan_inspection(city.dispatcher, city.enterprises[2], OPENING, now=NOW)
    Case.objects.filter(pk=row.pk).update(due=None, derivation=[])
    data = {"team": [i.code for i in team]}
    kernel.act(city.dispatcher, row.pk, "set_team", row.version, data, now=NOW)
    row.refresh_from_db()
    assert row.running_due == datetime(2026, 11, 25, 15, 59, 59, tzinfo=UTC)


def test_only_the_team_acts_on_the_spot(city, case) -> None:
    for user in (city.dispatcher, city.users["district"], city.inspectors[2].user):
        with pytest.raises(Refused, match="检查组"):
            services.keep_answers(user, case.pk, [], now=NOW)
        with pytest.raises(Refused):
            kernel.act(user, case.pk, "start", case.version, {}, now=NOW)
    for user in (city.inspectors[3].user, city.users["enterprise"], city.users["auditor"]):
        with pytest.raises(Case.DoesNotExist):
            services.keep_answers(user, case.pk, [], now=NOW)


def test_the_kernel_takes_a_signature_from_the_phone_page_alone(case, team) -> None:
    services.keep_answers(team[0].user, case.pk, answers(case), now=NOW)
    case.refresh_from_db()
    said = {"digest": "0" * 64, "problems": "0"}
    with pytest.raises(Refused):
        kernel.act(team[0].user, case.pk, "sign", case.version, said, now=NOW)


def test_what_is_sent_twice_counts_once(case, team) -> None:
    inspector = team[0].user
    said = answers(case)
    first = services.keep_answers(inspector, case.pk, said, now=NOW)
    again = services.keep_answers(inspector, case.pk, said, now=NOW)
    assert first == again
    assert set(Answer.objects.values_list("version", flat=True)) == {1}
    data = {"uid": str(uuid.uuid4())}
    one, two = snap(case, inspector, **data), snap(case, inspector, **data)
    assert one == two
    assert Photo.objects.count() == 1
    end = signed(case, team)
    assert services.finish(inspector, case.pk, end, now=NOW) == services.finish(
        inspector, case.pk, end, now=NOW
    )
    assert (Record.objects.count(), Signature.objects.count()) == (1, 3)
    with pytest.raises(Refused, match="已签名"):
        services.keep_answers(inspector, case.pk, said, now=NOW)
    with pytest.raises(Refused, match="已签名"):
        snap(case, inspector)


def test_who_changes_what_another_changed_is_told(case, team) -> None:
    first, second = (i.user for i in team)
    services.keep_answers(first, case.pk, answers(case), now=NOW)
    mine = {"item": "G01", "value": "no", "note": "过期", "base": 1}
    assert services.keep_answers(first, case.pk, [mine], now=NOW)["kept"] == ["G01"]
    theirs = {"item": "G01", "value": "na", "note": "", "base": 1}
    said = services.keep_answers(second, case.pk, [theirs], now=NOW)
    assert said == {"kept": [], "conflicts": ["G01"]}
    assert Answer.objects.get(item="G01").value == "no"
    sheet = selectors.sheet(case, second)["answers"]["G01"]
    assert sheet["by"] == str(first)
    settled = services.keep_answers(
        second, case.pk, [{**theirs, "base": sheet["version"]}], now=NOW
    )
    assert settled["kept"] == ["G01"]


@pytest.mark.parametrize(
    "wrong",
    [
        "x", {}, [1], [{"item": []}], [{"item": "none", "value": "yes", "base": 0}], [{"item": "G01"}],
        [{"item": "G01", "value": "perhaps", "base": 0}], [{"item": "G01", "value": 1, "base": 0}],
        [{"item": "V03", "value": "nan", "base": 0}],
        [{"item": "G01", "value": "yes", "note": "x" * 501, "base": 0}],
        [{"item": "G01", "value": "yes", "note": "\x00", "base": 0}],
    ],
)  # fmt: skip
def test_what_is_no_answer_is_refused(case, team, wrong) -> None:
    with pytest.raises(ValidationError):
        services.keep_answers(team[0].user, case.pk, wrong, now=NOW)
    assert not Answer.objects.exists()


def test_a_batch_names_what_is_no_answer_in_it(case, team, client) -> None:
    client.force_login(team[0].user)
    send = f"/inspections/{case.pk}/answers/"
    rows = answers(case, G02="", V03="12,")
    told = client.post(send, {"answers": rows}, content_type="application/json")
    assert told.status_code == 422
    assert told.json()["items"] == ["G02", "V03"]
    assert not Answer.objects.exists()
    rest = [row for row in rows if row["item"] not in told.json()["items"]]
    told = client.post(send, {"answers": rest}, content_type="application/json")
    assert told.status_code == 200
    assert told.json()["kept"] == [row["item"] for row in rest]
    assert Answer.objects.count() == len(rest) == len(rows) - 2


def test_what_one_wrote_is_not_taken_from_anothers_login(case, team, client) -> None:
    """Both are of the team, and their pages were opened on one phone."""
    writer, other = (inspector.user for inspector in team)
    page = {"X-Page-User": str(writer.pk)}
    upload = SimpleUploadedFile("x.png", PNG, "image/png")
    photo = {
        "uid": str(uuid.uuid4()), "sha256": hashlib.sha256(PNG).hexdigest(), "item": "G02",
        "taken": NOW.isoformat(), "position": "", "file": upload,
    }  # fmt: skip
    root = f"/inspections/{case.pk}"

    def sent() -> list[int]:
        upload.seek(0)
        told = [
            client.post(
                f"{root}/answers/",
                {"answers": answers(case)},
                content_type="application/json",
                headers=page,
            ),
            client.post(f"{root}/photos/", photo, headers=page),
            client.get(f"{root}/state/", headers=page),
            client.post(
                f"{root}/finish/", signed(case, team), content_type="application/json", headers=page
            ),
        ]
        assert [bool(t.json().get("other")) for t in told] == [t.status_code == 409 for t in told]
        return [t.status_code for t in told]

    client.force_login(other)
    assert sent() == [409] * 4
    assert not Answer.objects.exists()
    assert not Photo.objects.exists()
    refused = client.get(f"{root}/state/", headers=page).json()
    assert set(refused) == {"error", "other"}  # and no sheet
    client.force_login(writer)
    assert sent() == [200] * 4
    assert {a.by for a in Answer.objects.all()} == {writer}


def test_a_photo_is_the_one_that_was_captured(case, team) -> None:
    inspector = team[0].user
    for change in (
        {"sha256": "0" * 64}, {"uid": "x"}, {"item": "none"}, {"position": "1,2"},
        {"position": "200,2,3"}, {"content": b"<script>"},
    ):  # fmt: skip
        with pytest.raises(ValidationError):
            snap(case, inspector, **change)
    assert not Photo.objects.exists()
    assert not EvidenceEntry.objects.filter(kind="inspection.photo").exists()
    future = snap(case, inspector, taken=(NOW + timedelta(days=3)).isoformat())
    assert future.taken == NOW
    early = snap(case, inspector, taken="2026-11-20T01:30:00Z")
    assert early.taken == datetime(2026, 11, 20, 1, 30, tzinfo=UTC)
    assert json.loads(early.evidence.content)["content"]["sha256"] == early.sha256


def test_a_record_wants_all_signatures_on_this_very_sheet(case, team) -> None:
    inspector = team[0].user
    services.keep_answers(inspector, case.pk, answers(case), now=NOW)
    own = [signature("inspector", code=i.code) for i in team]
    end = signed(case, team)
    for change in (
        {"signatures": own[:1] + end["signatures"][2:]},  # one inspector has not signed
        {"signatures": own},  # nobody for the enterprise
        {
            "refusal": {"reason": "不同意", "witness": "居委会钱某"}
        },  # without the witness' signature
        {"sheet": "0" * 64},
    ):
        with pytest.raises(Refused):
            services.finish(inspector, case.pk, {**end, **change}, now=NOW)
    enterprise = end["signatures"][2]
    for wrong in (
        {"refusal": {"reason": "不同意", "witness": ""}},
        {"signatures": "x"},
        {"signatures": [*own, {**enterprise, "strokes": []}]},
        {"signatures": [*own, {**enterprise, "strokes": [[[1.5, 2, 3]]]}]},
        {"signatures": [*own, {**enterprise, "picture": base64.b64encode(b"GIF89a").decode()}]},
        {"signatures": [*own, {**enterprise, "name": " "}]},
        {"signatures": [*own, {**own[0], "code": "ZF003"}]},
    ):
        with pytest.raises(ValidationError):
            services.finish(inspector, case.pk, {**end, **wrong}, now=NOW)
    changed = {"item": "G01", "value": "na", "note": "", "base": 1}
    services.keep_answers(team[1].user, case.pk, [changed], now=NOW)
    with pytest.raises(Refused, match="重新签名"):
        services.finish(inspector, case.pk, end, now=NOW)
    assert not Record.objects.exists()
    refused = {
        "refusal": {"reason": "不同意检查结论", "witness": "钱某"},
        "signatures": [*own, signature("witness", "钱某")],
    }
    record = services.finish(inspector, case.pk, signed(case, team, **refused), now=NOW)
    assert record.content["refusal"]["reason"] == "不同意检查结论"
    assert json.loads(record.evidence.content)["content"]["refused"] is True


def test_what_is_signed_cannot_be_changed_and_fsck_finds_it(case, team) -> None:
    services.keep_answers(team[0].user, case.pk, answers(case), now=NOW)
    photo = snap(case, team[0].user)
    record = services.finish(team[0].user, case.pk, signed(case, team), now=NOW)
    for rows in (Record.objects, Signature.objects, Photo.objects):
        with pytest.raises(DatabaseError), transaction.atomic():
            rows.all().delete()
        with pytest.raises(DatabaseError), transaction.atomic():
            rows.all().update(sha256="0" * 64)
    assert list(checks.check()) == []
    with open(photo.file.path, "ab") as file:  # noqa: PTH123
        file.write(b"x")
    assert [p for p in checks.check() if str(photo.uid) in p]
    assert record.signatures.count() == 3


def test_record_and_photos_go_into_the_bundle_of_a_case_that_came_from_it(
    city, case, team, tmp_path
) -> None:
    """A second machine verifies them; a changed photo is found."""
    services.keep_answers(team[0].user, case.pk, answers(case, G03="no"), now=NOW)
    photo = snap(case, team[0].user, "G03")
    record = services.finish(team[0].user, case.pk, signed(case, team), now=NOW)
    district = city.users["district"]
    act(district, case, "problems", {"text": "无标志牌"})
    act(district, case, "hand_over", {"to": "order", "text": "无标志牌"})
    finding = Finding.objects.get(pk=case.detail["finding"])
    child = kernel.open_case(
        city.dispatcher, [finding], {"title": "督办", "text": "整改", "basis": "许可证"},
        parent=case, now=NOW,
    )  # fmt: skip
    parts = bundles.gather(child.pk)
    files = {name.rpartition("/")[2]: data for name, _entry, data in parts.contents}
    assert hashlib.sha256(files["inspection-record.json"]).hexdigest() == record.sha256
    name = f"inspection-photo-{photo.uid}.png"
    assert files[name].read_bytes() == PNG
    assert {record.evidence, photo.evidence} <= set(parts.entries)


def test_a_cancelled_inspection_gives_its_findings_back(city) -> None:
    import world as worlds

    finding = worlds.finding(city.world)
    row = services.plan_inspection(
        city.dispatcher, city.enterprises[0], OPENING, findings=[finding], now=NOW
    )
    finding.refresh_from_db()
    assert finding.state == Finding.State.IN_CASE
    act(city.dispatcher, row, "cancel", {"text": "重复"})
    finding.refresh_from_db()
    assert finding.state == Finding.State.NEW


def test_the_sheet_hash_is_that_of_its_canonical_text(case, team) -> None:
    """The phone reckons the same by JSON.stringify: keys in order, no blanks."""
    said = [{"item": "G01", "value": "no", "note": "“旧”\n\t\\ \u2028", "base": 0}]
    services.keep_answers(team[0].user, case.pk, said, now=NOW)
    photo = snap(case, team[0].user)
    text = json.dumps(
        {"answers": [["G01", "no", said[0]["note"]]], "case": case.pk,
         "photos": [[str(photo.uid), photo.sha256]]},
        ensure_ascii=False, separators=(",", ":"),
    )  # fmt: skip
    assert selectors.sheet_digest(case) == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(("days", "early"), [(2, True), (0, False)])
def test_it_is_said_before_and_after_that_an_inspection_begins_early(
    city, team, client, days, early
) -> None:
    ahead, begun = "在此之前开始即为提前检查", "提前开始"
    now = timezone.now()
    day = (timezone.localdate() + timedelta(days=days)).isoformat()
    case = services.plan_inspection(
        city.dispatcher, city.enterprises[2], {**OPENING, "day": day}, now=now
    )
    codes = {"team": [i.code for i in team]}
    kernel.act(city.dispatcher, case.pk, "set_team", case.version, codes, now=now)
    case.refresh_from_db()
    client.force_login(team[0].user)
    page = client.get(case.get_absolute_url()).content.decode()
    assert f'href="/inspections/{case.pk}/spot/"' in page
    assert (ahead in page, begun in page) == (early, False)
    assert (ahead in client.get(f"/inspections/{case.pk}/spot/").content.decode()) == early
    services.keep_answers(team[0].user, case.pk, answers(case)[:1], now=now)
    page = client.get(case.get_absolute_url()).content.decode()
    assert (ahead in page, begun in page) == (False, early)


def test_the_pages(city, case, team, client) -> None:
    inspector = team[0].user
    client.force_login(inspector)
    page = client.get(f"/inspections/{case.pk}/spot/")
    assert page.status_code == 200
    for item in selectors.checklist(case):
        assert item.item in page.content.decode()
    assert page["Cache-Control"] == "no-store"
    assert "unsafe" not in page["Content-Security-Policy"]
    assert client.get("/inspections/").content.decode().count(f"/inspections/{case.pk}/spot/") == 1
    send = f"/inspections/{case.pk}/answers/"
    body = {"answers": answers(case, G02="no")}
    assert client.post(send, "{", content_type="application/json").status_code == 422
    assert client.post(send, body, content_type="application/json").status_code == 200
    upload = io.BytesIO(PNG)
    upload.name = "photo.jpg"
    told = client.post(
        f"/inspections/{case.pk}/photos/",
        {"uid": str(uuid.uuid4()), "sha256": hashlib.sha256(PNG).hexdigest(), "item": "G02",
         "taken": NOW.isoformat(), "position": "", "file": upload},
    )  # fmt: skip
    assert told.json()["sheet"]["photos"][0]["item"] == "G02"
    end = signed(case, team)
    wrong = client.post(
        f"/inspections/{case.pk}/finish/", {**end, "sheet": ""}, content_type="application/json"
    )
    assert wrong.status_code == 409
    assert "error" in wrong.json()
    done = client.post(f"/inspections/{case.pk}/finish/", end, content_type="application/json")
    record = Record.objects.get()
    assert done.json()["record"] == record.sha256
    assert client.get(f"/inspections/{case.pk}/spot/").status_code == 302
    document = client.get(f"/inspections/{case.pk}/record/").content.decode()
    assert "现场检查笔录" in document
    assert record.sha256 in document
    data = client.get(f"/inspections/{case.pk}/record.json").content
    assert hashlib.sha256(data).hexdigest() == record.sha256
    for one in record.signatures.all():
        drawn_ = client.get(f"/inspections/{case.pk}/signature/{one.pk}/")
        assert drawn_.content == PNG
    picture = client.get(Photo.objects.get().get_absolute_url())
    assert b"".join(picture.streaming_content) == PNG
    for answer in (drawn_, picture):
        assert answer["Cache-Control"] == "private, no-store"
    # Who saw what: page, file, each signature, the photo.
    number = record.signatures.last().pk
    seen = list(Reading.objects.order_by("pk").values_list("what", "subject", "actor"))
    assert seen[:2] == [("inspection", f"inspection-record:{case.pk}", inspector.pk)] * 2
    assert seen[-2:] == [
        ("inspection", f"inspection-signature:{number}", inspector.pk),
        ("photo", f"inspection-photo:{Photo.objects.get().uid}", inspector.pk),
    ]
    assert len(seen) == 3 + record.signatures.count()
    page, file = printed.both(client, f"/inspections/{case.pk}/record/")
    assert len(printed.cells(page)) > 60
    said = printed.text(file.content)
    assert "现场检查笔录" in said
    assert record.sha256 in said
    assert "图片" not in said
    images = sum(len(p.images) for p in pypdf.PdfReader(io.BytesIO(file.content)).pages)
    assert images  # the photo and the signatures, all of the same bytes here
    assert file["Cache-Control"] == "private, no-store"
    # The file shows what the page shows: the record, its signatures, the photo, each read by this reader.
    both = Reading.objects.order_by("pk").values_list("what", "subject", "actor")[len(seen) :]
    assert [r for r in both if r not in seen] == []
    assert len(both) == 3 + 2 * (record.signatures.count() + 1)
    seen += both
    assert client.get(case.get_absolute_url()).status_code == 200
    assert "G02" in client.get(case.get_absolute_url()).content.decode()
    client.force_login(city.users["district_elsewhere"])
    for path in (
        "record/",
        "record/?format=pdf",
        "record.json",
        f"signature/{one.pk}/",
        "spot/",
        "state/",
    ):
        assert client.get(f"/inspections/{case.pk}/{path}").status_code == 404
    assert client.get(Photo.objects.get().get_absolute_url()).status_code == 404
    assert Reading.objects.count() == len(seen)  # what was refused was not read
    assert client.post(send, body, content_type="application/json").status_code == 404
    client.force_login(city.users["enterprise"])  # another enterprise than the inspected one
    assert client.get(f"/inspections/{case.pk}/record/").status_code == 404
    case.enterprise = city.enterprises[0]
    case.save(update_fields=["enterprise"])
    assert client.get(f"/inspections/{case.pk}/record/").status_code == 200


def test_the_pages_of_planning(city, client) -> None:
    client.force_login(city.users["district"])
    uscc = city.enterprises[2].uscc
    today = timezone.localdate()
    said = {**OPENING, "day": today.isoformat()}
    assert client.get("/inspections/new/").status_code == 200
    assert client.post("/inspections/new/", {**said, "uscc": uscc, "day": ""}).status_code == 422
    assert client.post("/inspections/new/", {**said, "uscc": "none"}).status_code == 409
    elsewhere = city.enterprises[9].uscc
    assert client.post("/inspections/new/", {**said, "uscc": elsewhere}).status_code == 409
    past = {**said, "uscc": uscc, "day": (today - timedelta(days=1)).isoformat()}
    refused = client.post("/inspections/new/", past)
    assert refused.status_code == 409
    assert "计划日期已过" in refused.content.decode()
    done = client.post("/inspections/new/", {**said, "uscc": uscc, "token": "a"})
    assert done.status_code == 302
    again = client.post("/inspections/new/", {**said, "uscc": uscc, "token": "a"})
    assert again["Location"] == done["Location"]
    assert client.get(done["Location"]).status_code == 200
    assert client.post("/inspections/plans/", {"act": "plan", "year": "1"}).status_code == 422
    plan = {"act": "plan", "year": "2026", "text": "全年计划"}
    assert client.post("/inspections/plans/", plan).status_code == 302
    line = {"act": "item", "origin": "targeted", "title": "重点行业", "count": "3",
            "until": "2026-12-31"}  # fmt: skip
    assert client.post("/inspections/plans/?year=2026", line).status_code == 302
    assert client.post("/inspections/plans/?year=2026", {**line, "count": "0"}).status_code == 422
    page = client.get("/inspections/plans/?year=2026").content.decode()
    assert "重点行业" in page
    listed = client.get("/inspections/?origin=targeted&state=planned&q=专项").content.decode()
    assert "专项检查" in listed
    rows = b"".join(client.get("/inspections/export.csv").streaming_content).decode()
    assert "专项检查" in rows
    assert "/inspections/export.xlsx?" in client.get("/inspections/").content.decode()
    book = load_workbook(io.BytesIO(client.get("/inspections/export.xlsx").getvalue())).active
    assert "专项检查" in [row[0].value for row in book.iter_rows()]
    client.force_login(city.dispatcher)
    draw = drawn(city)
    address = f"/inspections/draws/{draw.pk}/inspections/"
    assert client.get(address).status_code == 200
    assert client.post(address, {"day": ""}).status_code == 422
    assert client.post(address, {"day": said["day"]}).status_code == 302
    assert client.get(f"/inspections/?draw={draw.name}").content.decode().count("双随机检查：") == 5


def test_an_enterprise_is_named_so_that_only_one_is_meant(city, client) -> None:
    client.force_login(city.dispatcher)
    one, two = city.enterprises[2:4]
    Enterprise.objects.filter(pk__in=[one.pk, two.pk]).update(name="华北Steel厂")
    said = {**OPENING, "day": timezone.localdate().isoformat()}
    page = client.post("/inspections/new/", {**said, "uscc": "华北steel厂"})
    assert page.status_code == 409
    text = page.content.decode()
    assert "有多家企业" in text
    assert 'value="华北steel厂"' in text  # as it was typed
    assert not Case.objects.filter(flow="inspection").exists()
    done = client.post("/inspections/new/", {**said, "uscc": two.uscc.lower()})
    assert done.status_code == 302
    assert Case.objects.get(flow="inspection").enterprise == two


def test_every_industry_of_the_register_has_a_checklist(city) -> None:
    from jingwei.bureau.registry.models import Enterprise

    for industry in Enterprise.Industry.values:
        assert len(checklists.checklist(industry)) >= 11
