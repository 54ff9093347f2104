"""Permits over time: enter, change, take back, import; what is refused and in which words."""

from __future__ import annotations

import io
from datetime import date, timedelta
from decimal import Decimal

import openpyxl
import pytest
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from django.utils import translation
from hypothesis import given
from hypothesis import strategies as st

from jingwei.bureau.access import Role
from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.bureau.registry import changes, imports, lines, sheets
from jingwei.bureau.registry.models import Permit, PermitAmount, PermitLimit

pytestmark = pytest.mark.django_db

DAY = date(2026, 7, 1)


@pytest.fixture(autouse=True)
def in_english():
    with translation.override("en"):
        yield


def line(**more) -> lines.Line:
    given = {
        "outlet": "DA001", "factor": "a21002", "period": "hour", "value": Decimal(50),
        "unit": "mg/m³", "reference_o2": 15.0, "source": "GB 13223-2011",
    }  # fmt: skip
    return lines.Line(**(given | more))


def change(permit: Permit, *said: lines.Line, **more) -> changes.Change:
    given = {
        "act": "changed", "number": permit.number, "category": permit.category,
        "valid_from": permit.valid_from, "valid_to": permit.valid_to, "in_force": DAY, "note": "",
    }  # fmt: skip
    return changes.Change(lines=said, **(given | more))


def today_lines(permit: Permit, day: date = DAY) -> list[lines.Line]:
    return [lines.line_of(r) for r in changes.rows_on(permit, day)]


def test_a_change_ends_and_begins_and_never_rewrites(city):
    before = today_lines(city.permit)
    kept = next(x for x in before if x.factor == "a21026")
    made = change(
        city.permit, kept, line(value=Decimal(30)),
        line(outlet=lines.WHOLE, period="year", value=Decimal(120), unit="t", reference_o2=None),
    )  # fmt: skip
    changes.apply(city.users[Role.DISPATCHER], city.power, city.permit, made)
    city.nox.refresh_from_db()
    assert (city.nox.value, city.nox.valid_to) == (50, DAY - timedelta(days=1))
    assert {(x.factor, x.period, x.value) for x in today_lines(city.permit)} == {
        ("a21026", "hour", 35), ("a21002", "hour", 30), ("a21002", "year", 120),
    }  # fmt: skip
    assert today_lines(city.permit, DAY - timedelta(days=1)) == before
    versions = list(city.permit.versions.all())
    assert [v.number for v in versions] == [1, 2]
    assert EvidenceEntry.objects.get(pk=versions[1].evidence_id).kind == "permit"
    (_, difference), (_, first) = changes.history(city.permit)
    assert first is None
    assert [(lines.line_of(r).value, x.value) for r, x in difference.changed] == [(50, 30)]
    assert [x.period for x in difference.added] == ["year"]


def test_the_last_change_can_be_taken_back_until_a_value_was_judged_by_it(city):
    user = city.users[Role.DISPATCHER]
    before = today_lines(city.permit)
    changes.apply(user, city.power, city.permit, change(city.permit, line(value=Decimal(30))))
    assert today_lines(city.permit) != before
    changes.take_back(user, city.permit)
    assert today_lines(city.permit) == before
    city.nox.refresh_from_db()
    assert city.nox.valid_to is None
    with pytest.raises(ValidationError, match="no change"):
        changes.take_back(user, city.permit)

    from jingwei.bureau.monitoring.models import Exceedance

    changes.apply(user, city.power, city.permit, change(city.permit, line(value=Decimal(30))))
    Exceedance.objects.create(
        point=city.point, factor="a21002", period="hour", time="2026-07-02T00:00Z", value=40,
        unit="mg/m³", limit=PermitLimit.objects.get(value=30), limit_value=30,
    )  # fmt: skip
    after = today_lines(city.permit)
    with pytest.raises(ValidationError, match="judged by this version"):
        changes.take_back(user, city.permit)
    assert today_lines(city.permit) == after
    acts = [e.content.count('"act":"taken back"') for e in EvidenceEntry.objects.filter(kind="permit")]  # fmt: skip
    assert sum(acts) == 1  # the refused one left nothing


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"in_force": date(1999, 1, 1)}, "while the permit is valid"),
        ({"in_force": date(2024, 1, 1)}, "choose a later day"),
        ({"valid_to": date(2020, 1, 1), "valid_from": date(2021, 1, 1)}, "while the permit"),
    ],
)
def test_a_change_on_a_wrong_day_is_refused(city, more, text):
    with pytest.raises(ValidationError, match=text):
        changes.apply(None, city.power, city.permit, change(city.permit, line(value=Decimal(1)), **more))  # fmt: skip
    assert city.permit.versions.count() == 0


def test_nothing_new_is_no_change(city):
    with pytest.raises(ValidationError, match="Nothing differs"):
        changes.apply(None, city.power, city.permit, change(city.permit, *today_lines(city.permit)))


def test_two_permits_cannot_permit_the_same(city):
    other = changes.Change(
        act="issued", number=f"{city.power.uscc}002P", category="key", note="",
        valid_from=date(2025, 1, 1), valid_to=date(2030, 1, 1), in_force=date(2025, 1, 1),
        lines=[line()],
    )  # fmt: skip
    with pytest.raises(ValidationError, match="already has a limit"):
        changes.apply(None, city.power, None, other)
    whole = line(outlet=lines.WHOLE, period="year", unit="t", reference_o2=None)
    changes.apply(None, city.power, city.permit, change(city.permit, whole))
    second = changes.Change(**{**other.__dict__, "lines": [whole], "in_force": date(2026, 8, 1)})
    with pytest.raises(ValidationError, match="already permits an amount"):
        changes.apply(None, city.power, None, second)
    assert Permit.objects.filter(enterprise=city.power).count() == 1


@pytest.mark.parametrize(
    ("said", "field", "text"),
    [
        ({"period": ""}, "period", "without a period"),
        ({"factor": "zz99"}, "factor", "is no factor"),
        ({"factor": "w01018", "unit": "mg/L"}, "factor", "another medium"),
        ({"unit": "mg/L"}, "unit", "does not fit"),
        ({"unit": ""}, "unit", "does not fit"),
        ({"unit": "t", "period": "rate", "reference_o2": ""}, "unit", "kg/h"),
        ({"reference_o2": "21"}, "reference_o2", "below 21"),
        ({"period": "year", "unit": "t"}, "reference_o2", "no reference oxygen"),
        ({"value": "-1"}, "value", "greater than or equal to 0"),
        ({"value": "abc"}, "value", "number"),
        ({"outlet": ""}, "outlet", "Choose an outlet"),
        ({"outlet": "*"}, "outlet", "whole enterprise"),
        ({"source": ""}, "source", "required"),
    ],
)
def test_a_wrong_line_says_what_to_do(city, said, field, text):
    good = {
        "outlet": "DA001", "factor": "a21002", "period": "hour", "value": "50", "unit": "mg/m3",
        "reference_o2": "15", "source": "GB", "verified": "verified",
    }  # fmt: skip
    outlets = {o.code: o for o in city.power.outlets.all()}
    assert lines.LineForm(good, outlets=outlets).is_valid()
    form = lines.LineForm(good | said, outlets=outlets)
    assert not form.is_valid()
    assert text in " ".join(form.errors[field])


@given(
    value=st.decimals("0", "99999999", places=6),
    unit=st.sampled_from(["mg/m³", "µg/m³", "毫克/立方米", "mg/m3"]),
    period=st.sampled_from(["hour", "day"]),
    o2=st.none() | st.floats(0, 20.9),
)
@pytest.mark.django_db(False)
def test_a_line_survives_its_form(value, unit, period, o2):
    """What a form shows of a line is read back as that line."""
    from jingwei.bureau.registry.models import Outlet

    made = line(
        value=value.normalize(), unit=lines.plain_unit(unit), period=period, reference_o2=o2
    )
    data = {k: "" if v is None else str(v) for k, v in lines.initial_of(made).items() if k != "lower"}  # fmt: skip
    form = lines.LineForm(data, outlets={"DA001": Outlet(code="DA001", medium="air")})
    assert form.is_valid(), form.errors
    assert form.line == made


# Pages ------------------------------------------------------------------------------------------


def posted(rows: list[lines.Line], **head) -> dict[str, str]:
    data = {
        "act": "changed", "category": "key", "valid_from": "2024-01-01", "valid_to": "2099-01-01",
        "in_force": "2026-07-01", "note": "技改", "line-TOTAL_FORMS": str(len(rows)),
        "line-INITIAL_FORMS": "0", "do": "check",
    }  # fmt: skip
    for number, row in enumerate(rows):
        for name, value in lines.initial_of(row).items():
            if value not in (None, False):
                data[f"line-{number}-{name}"] = str(value)
    return data | head


def test_the_form_previews_then_writes(login, city):
    client = login()
    url = reverse("registry:permit_change", args=[city.permit.pk])
    assert "a21002" in client.get(url).content.decode()
    rows = [line(value=Decimal(30))]
    page = client.post(url, posted(rows)).content.decode()
    assert "What the change does from 2026-07-01 on" in page
    assert "≤ 50 mg/m³" in page
    assert city.permit.versions.count() == 0  # the preview writes nothing
    done = client.post(url, posted(rows, do="do"))
    assert done["Location"] == city.permit.get_absolute_url()
    page = client.get(done["Location"]).content.decode()
    assert "Version 2" in page
    assert "≤ 30 mg/m³" in page
    client.post(reverse("registry:take_back", args=[city.permit.pk]))
    assert today_lines(city.permit, date(2026, 12, 1))[0].value == 50


def test_a_wrong_form_keeps_what_was_typed(login, city):
    url = reverse("registry:permit_change", args=[city.permit.pk])
    response = login().post(url, posted([line(factor="nonsense", source="my source")], note=""))
    assert response.status_code == 422
    page = response.content.decode()
    assert "nonsense is no factor" in page
    assert "my source" in page
    more = login().post(url, posted([line(source="my source")], do="more"))
    assert more.content.decode().count('name="line-6-factor"') == 1
    assert "my source" in more.content.decode()


@pytest.mark.parametrize("role", [r for r in Role if r != Role.DISPATCHER])
def test_others_may_look_but_not_change(login, city, role):
    client = login(role)
    for name, args in (
        ("permit_change", [city.permit.pk]),
        ("permit_new", [city.power.uscc]),
        ("permits_import", []),
    ):
        assert client.get(reverse(f"registry:{name}", args=args)).status_code == 403
    assert client.post(reverse("registry:take_back", args=[city.permit.pk])).status_code == 403
    seen = client.get(city.permit.get_absolute_url()).status_code
    assert seen == (404 if role == Role.ENTERPRISE else 200)  # another enterprise's


def test_a_new_permit(login, city):
    rows = [line(outlet="DA001", factor="a34013", value=Decimal(10))]
    url = reverse("registry:permit_new", args=[city.power.uscc])
    number = f"{city.power.uscc}002P"
    head = {"act": "issued", "number": number, "do": "do"}
    assert login().post(url, posted(rows, **head)).status_code == 302
    assert [x.factor for x in today_lines(Permit.objects.get(number=number))] == ["a34013"]
    again = login().post(url, posted(rows, **head))
    assert again.status_code == 422


# Import -----------------------------------------------------------------------------------------


def row(city, **more) -> dict[str, str]:
    given = {
        "uscc": city.power.uscc, "number": city.permit.number, "act": "变更", "category": "重点管理",
        "valid_from": "2024-01-01", "valid_to": "2099/1/1", "in_force": "2026-07-01",
        "outlet": "DA001", "factor": "氮氧化物", "period": "小时均值", "value": "30", "unit": "mg/m3",
        "reference_o2": "15", "lower": "", "source": "GB 13223-2011", "verified": "已核对原文",
    }  # fmt: skip
    return given | more


def upload(rows: list[dict[str, str]], kind: str = "utf-8") -> SimpleUploadedFile:
    heads = [names[0] for names in imports.COLUMNS.values()]
    table = [heads, *([r[c] for c in imports.COLUMNS] for r in rows)]
    if kind == "xlsx":
        book = openpyxl.Workbook()
        for cells in table:
            book.active.append(cells)
        out = io.BytesIO()
        book.save(out)
        return SimpleUploadedFile("permits.xlsx", out.getvalue())
    text = "\n".join(",".join(cells) for cells in table)
    return SimpleUploadedFile("permits.csv", text.encode(kind))


@pytest.mark.parametrize("kind", ["utf-8-sig", "gb18030", "xlsx"])
def test_a_file_is_shown_then_written(login, city, kind):
    rows = [
        row(city),
        row(city, outlet="全厂", period="年", value="120", unit="吨/年", reference_o2=""),
    ]
    url = reverse("registry:permits_import")
    page = login().post(url, {"file": upload(rows, kind), "do": "check"})
    text = page.content.decode()
    assert "Can be entered" in text, text
    assert PermitAmount.objects.count() == 0
    kept = page.context["kept"]
    done = login().post(url, {"rows": kept, "do": "write"})
    assert done.status_code == 302
    assert {(x.period, x.value) for x in today_lines(city.permit)} == {("hour", 30), ("year", 120)}


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"uscc": "91110000MA00000099"}, "no enterprise of your area"),
        ({"factor": "二恶英呀"}, "is no factor"),
        ({"period": ""}, "without a period"),
        ({"unit": "mg/L"}, "does not fit"),
        ({"in_force": "gestern"}, "is no date"),
        ({"category": "重要"}, "Unknown category"),
        ({"valid_to": "2025-01-01"}, "while the permit is valid"),
        ({"outlet": "DA009"}, "DA009"),
    ],
)
def test_a_wrong_file_says_where_and_writes_nothing(login, city, more, text):
    url = reverse("registry:permits_import")
    page = login().post(url, {"file": upload([row(city, **more)]), "do": "check"})
    assert text in page.content.decode()
    assert "Has errors" in page.content.decode()
    again = login().post(url, {"rows": page.context["kept"], "do": "write"})
    assert again.status_code == 422
    assert city.permit.versions.count() == 0


@pytest.mark.parametrize(
    "body", [b"", b"\xff\xfe\x00", b"PK\x03\x04broken", b"a,b\n1,2\n", b"\x00"]
)
def test_a_broken_file_is_refused(login, city, body):
    page = login().post(
        reverse("registry:permits_import"),
        {"file": SimpleUploadedFile("x.csv", body), "do": "check"},
    )
    assert page.status_code == 422
    assert "field-error" in page.content.decode()
    for rows in ("", "{}", "[[1]]", "[1]", "null"):
        broken = login().post(reverse("registry:permits_import"), {"rows": rows, "do": "write"})
        assert broken.status_code in (422, 302)


def test_the_template_reads_back(login, city):
    body = login().get(reverse("registry:permits_template_csv")).content
    (found,) = sheets.read(SimpleUploadedFile("t.csv", body), imports.COLUMNS)
    assert found[1]["factor"] == "a21002"
