"""Findings that people and tables hand in."""

from __future__ import annotations

import io
import json
from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from django.utils import timezone, translation
from openpyxl import Workbook, load_workbook

from bureau.cases.city import PNG, photo
from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.bureau.findings import checks, imports
from jingwei.bureau.findings.kinds import SCENARIOS
from jingwei.bureau.findings.models import Finding, FindingFile, ImportFile
from jingwei.bureau.findings.services import Refused
from jingwei.bureau.registry.models import Region
from jingwei.standards import geo

pytestmark = pytest.mark.django_db
SQUARE = [[[116.2, 39.8], [116.4, 39.8], [116.4, 40.0], [116.2, 40.0], [116.2, 39.8]]]


@pytest.fixture
def city(city):
    area = {"type": "Polygon", "coordinates": SQUARE}
    Region.objects.filter(pk="110108").update(geometry=area)
    return city


def example(kind: str) -> dict[str, str]:
    """An answer to everything that the form of a kind demands."""
    said = {"began": "2026-11-01T08:00", "longitude": "116.3", "latitude": "39.9"}
    for asked in SCENARIOS[kind].inputs:
        if asked.kind == "choice":
            said[asked.name] = asked.choices[0][0]
        else:
            said[asked.name] = {"number": "12.5", "factor": "a21026"}.get(asked.kind, "示例")
    return said


@pytest.mark.parametrize("kind", SCENARIOS)
@pytest.mark.parametrize("language", ["zh-hans", "en"])
def test_each_kind_has_its_form_and_its_page(city, client, kind, language):
    client.force_login(city.dispatcher)
    client.cookies["django_language"] = language
    assert kind in client.get(reverse("findings:choose")).content.decode()
    address = reverse("findings:new", args=[kind])
    assert client.get(address).status_code == 200
    said = example(kind)
    # What is demanded and missing is told, and what was typed is still there.
    answer = client.post(address, {**said, "began": "", "address": "清河桥头"})
    assert answer.status_code == 422
    assert "清河桥头" in answer.content.decode()
    answer = client.post(address, {**said, "token": "one", "files": [photo()]})
    assert answer.status_code == 302
    again = client.post(address, {**said, "token": "one", "files": [photo()]})
    assert again["Location"] == answer["Location"]
    row = Finding.objects.get()
    assert (row.kind, row.region_id, row.source) == (kind, "110108", "form")
    assert row.files.count() == 1
    # Back to the same page, another place: another finding; the first stays as it was filed.
    other = client.post(
        address, {**said, "token": "one", "address": "清河桥头", "files": [photo()]}
    )
    assert other.status_code == 302
    assert other["Location"] != answer["Location"]
    assert Finding.objects.count() == 2
    assert row.title == Finding.objects.get(pk=row.pk).title
    page = client.get(answer["Location"]).content.decode()
    for asked in SCENARIOS[kind].inputs:
        with translation.override(language):
            assert asked.caption in page
    assert list(checks.check()) == []


def test_the_log_holds_no_word_of_what_people_wrote(city, client):
    client.force_login(city.grid)
    said = example("patrol") | {"seen": "王某某的作坊在夜里排水", "title": "王某某"}
    client.post(reverse("findings:new", args=["patrol"]), said)
    row = Finding.objects.get()
    entries = EvidenceEntry.objects.values_list("content", flat=True)
    assert not any("王某某" in content for content in entries)
    assert json.loads(row.evidence.content)["content"]["said"]["sha256"]


@pytest.mark.parametrize("datum", geo.DATUMS)
def test_coordinates_come_in_three_datums(city, client, datum):
    place = 116.3, 39.9
    given = place if datum == "wgs84" else geo.gcj02_from_wgs84(*place)
    given = geo.bd09_from_gcj02(*given) if datum == "bd09" else given
    client.force_login(city.dispatcher)
    said = example("fire") | {"longitude": given[0], "latitude": given[1], "datum": datum}
    assert client.post(reverse("findings:new", args=["fire"]), said).status_code == 302
    row = Finding.objects.get()
    assert (row.longitude, row.latitude) == pytest.approx(place, abs=1e-8)


@pytest.mark.parametrize(
    ("who", "change"),
    [
        ("dispatcher", {"longitude": "200"}),
        ("dispatcher", {"longitude": "nan"}),
        ("dispatcher", {"longitude": "10", "latitude": "50"}),
        ("dispatcher", {"began": "2999-01-01T00:00"}),
        ("dispatcher", {"ended": "2026-10-01T00:00"}),
        ("dispatcher", {"enterprise": "没有这家"}),
        ("district2", {}),  # the place is in another district
        ("district2", {"region": "110108"}),
        ("district2", {"enterprise": "示例热电1厂", "region": "110105"}),
        ("dispatcher", {"problem": "nothing like it"}),
    ],
)
def test_what_cannot_be_is_refused(city, client, who, change):
    client.force_login(city.people[who])
    answer = client.post(reverse("findings:new", args=["patrol"]), example("patrol") | change)
    assert answer.status_code == 422
    assert not Finding.objects.exists()


def test_files_are_read_by_their_bytes(city, client):
    client.force_login(city.dispatcher)
    address = reverse("findings:new", args=["patrol"])
    for name, data in (("a.png", b"<script>alert(1)</script>"), ("a.png", b"MZ\x90" + b"\0" * 99)):
        said = example("patrol") | {"files": SimpleUploadedFile(name, data, "image/png")}
        assert client.post(address, said).status_code == 422
    assert not Finding.objects.exists()
    client.post(address, example("patrol") | {"files": [photo("../../照片.png")]})
    row = FindingFile.objects.get()
    assert row.name == "照片.png"
    assert row.file.name.startswith("findings/")
    answer = client.get(row.get_absolute_url())
    assert b"".join(answer) == PNG
    assert answer["Content-Security-Policy"] == "default-src 'none'; sandbox"
    client.force_login(city.district2)
    assert client.get(row.get_absolute_url()).status_code == 404
    row.file.storage.path(row.file.name)
    with open(row.file.path, "ab") as file:  # noqa: PTH123
        file.write(b"!")
    assert any("digest differs" in problem for problem in checks.check())


# --- import ----------------------------------------------------------------------------------


def workbook(*rows) -> SimpleUploadedFile:
    book = Workbook()
    for row in rows:
        book.active.append(row)
    stream = io.BytesIO()
    book.save(stream)
    return SimpleUploadedFile("线索.xlsx", stream.getvalue())


HEAD = ["参考编号", "开始", "经度", "纬度", "手段", "问题", "看到什么"]
HEAD_EN = ["reference", "began", "longitude", "latitude", "means", "problem", "seen"]


def row(number="", began="2026-11-01 08:00", x="116.3", y="39.9", seen="路边扬尘"):
    return [number, began, x, y, "drone", "smoke", seen]


def table(*rows, name="t.csv", encoding="utf-8") -> SimpleUploadedFile:
    text = "\r\n".join(",".join(r) for r in (HEAD_EN, *rows))
    return SimpleUploadedFile(name, text.encode(encoding))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_a_table_is_looked_at_then_imported(city, client, encoding):
    client.force_login(city.dispatcher)
    upload = table(row("A1"), row("A2", seen="焚烧"), encoding=encoding)
    answer = client.post(reverse("findings:imports"), {"kind": "patrol", "file": upload})
    assert answer.status_code == 302
    page = client.get(answer["Location"]).content.decode()
    assert "焚烧" in page
    assert not Finding.objects.exists()
    client.post(answer["Location"])
    assert Finding.objects.count() == 2
    kept = ImportFile.objects.get()
    assert (kept.state, kept.created) == ("done", 2)
    entry = json.loads(kept.evidence.content)["content"]
    assert entry["file"]["sha256"] == kept.sha256
    # The same file again, and the same button twice.
    assert client.post(answer["Location"]).status_code == 409
    again = table(row("A1"), row("A2", seen="焚烧"), encoding=encoding)
    refused = client.post(reverse("findings:imports"), {"kind": "patrol", "file": again})
    assert refused.status_code == 422
    assert Finding.objects.count() == 2
    # A known reference goes on.
    later = imports.hand_in(
        city.dispatcher, "patrol", table(row("A1", "2026-11-02 08:00"), row("A3"))
    )
    assert imports.preview(city.dispatcher, later).known == 1
    assert imports.confirm(city.dispatcher, later.pk) == 1
    assert Finding.objects.count() == 3


def test_one_bad_row_and_nothing_is_imported(city, client):
    client.force_login(city.dispatcher)
    rows = [row("1"), row("2", x="not a number"), row("3", began=""), row("1")]
    answer = client.post(reverse("findings:imports"), {"kind": "patrol", "file": table(*rows)})
    kept = ImportFile.objects.get()
    assert kept.state == "faulty"
    told = imports.preview(city.dispatcher, kept)
    assert sorted({p.row for p in told.problems}) == [3, 4, 5]
    assert client.post(answer["Location"]).status_code == 409
    assert not Finding.objects.exists()
    with kept.file.open() as file:
        assert b"not a number" in file.read()


@pytest.mark.parametrize("kind", SCENARIOS)
@pytest.mark.parametrize("language", ["zh-hans", "en"])
def test_the_template_of_each_kind_comes_back_filled_in(city, kind, language):
    said = example(kind) | {"began": "2026-11-01 08:00", "reference": "7"}
    with translation.override(language):
        answer = imports.template(kind, "xlsx")
        names = list(imports.columns(kind))
    sheet = load_workbook(io.BytesIO(answer.content)).active
    head, hints = ([c.value for c in r] for r in sheet.iter_rows())
    assert all(str(h).startswith("#") for h in hints)
    upload = workbook(head, hints, [said.get(n) for n in names])
    kept = imports.hand_in(city.dispatcher, kind, upload)
    assert imports.preview(city.dispatcher, kept).problems == []
    assert imports.confirm(city.dispatcher, kept.pk) == 1
    assert imports.template(kind, "csv").content.startswith("\ufeff".encode())


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty"),
        (b"\xff\xfe\x00\x01\x80", "neither a workbook"),
        (b"PK\x03\x04rubbish", "table cannot be read"),
        (b"began,seen\n" + b"x,y\n" * (imports.ROWS + 2), "more than 5000 rows"),
        (b"<script>alert(1)</script>", "none of the template's columns"),
        (b"a," * 100 + b"\n", "columns"),
        (b'"' + b"x" * 200_000 + b'"\n', "cannot be read"),
    ],
)
def test_what_is_no_table_is_refused_with_one_sentence(city, data, says):
    with translation.override("en"), pytest.raises(Refused, match=says):
        imports.hand_in(city.dispatcher, "patrol", SimpleUploadedFile("x.csv", data))
    assert not ImportFile.objects.exists()


def test_a_workbook_that_unpacks_to_too_much_is_refused(city, monkeypatch):
    monkeypatch.setattr(imports, "UNPACKED", 1000)
    with translation.override("en"), pytest.raises(Refused, match="larger than"):
        imports.hand_in(city.dispatcher, "patrol", workbook(HEAD_EN, row()))


def test_unknown_missing_and_double_columns_are_told(city):
    upload = SimpleUploadedFile("x.csv", b"began,began,weather\n2026-11-01,2026-11-01,sun")
    kept = imports.hand_in(city.dispatcher, "patrol", upload)
    with translation.override("en"):
        told = {p.text for p in imports.preview(city.dispatcher, kept).problems if p.row == 1}
    assert told == {"This column is not known; see the template.", "This column stands twice."}


def problems(city, *rows) -> list[tuple[int, str, str]]:
    kept = imports.hand_in(city.dispatcher, "patrol", table(*rows))
    with translation.override("en"):
        return [(p.row, p.column, p.text) for p in imports.preview(city.dispatcher, kept).problems]


def test_a_missing_column_is_told_once(city):
    upload = SimpleUploadedFile("x.csv", b"began,means\n2026-11-01,drone\n2026-11-02,drone")
    kept = imports.hand_in(city.dispatcher, "patrol", upload)
    with translation.override("en"):
        told = imports.preview(city.dispatcher, kept).problems
    assert {p.text for p in told} == {"This column is missing."}
    assert len(told) == len({p.column for p in told}) == 4


def test_a_problem_says_what_to_write(city):
    x, y = row()[2:4]
    flown = row()
    flown[4] = "plane"
    assert problems(
        city, row("1", "45981.33"), row("2", x=y, y=x), row("3", x="116°25′"), flown, row("1")
    ) == [
        (2, "Began", "This is no time: write it as 2026-01-31 08:00."),
        (3, "Longitude", "Longitude and latitude are exchanged."),
        (4, "Longitude", "Write degrees as a decimal number, such as 116.397."),
        (5, "Means", "“plane” is none of these: On foot / Vehicle / Video / Drone"),
        (6, "Reference number", "The reference number stands in row 2 too."),
    ]


def test_the_same_row_is_imported_once(city):
    told = problems(city, row(), row(seen="焚烧"), row())
    assert told == [(4, "", "The same as row 2: take one of them out, or number both.")]
    first = imports.hand_in(city.dispatcher, "patrol", table(row(), row(seen="焚烧")))
    assert imports.confirm(city.dispatcher, first.pk) == 2
    # In another file: the order of rows and one more of them are no reason to double the others.
    second = imports.hand_in(
        city.dispatcher, "patrol", table(row(seen="焚烧"), row(seen="噪声"), row())
    )
    assert imports.preview(city.dispatcher, second).known == 2
    assert imports.confirm(city.dispatcher, second.pk) == 1
    assert Finding.objects.count() == 3


def test_the_same_row_of_another_officer_is_the_same_finding(city, client):
    first = imports.hand_in(city.district, "patrol", table(row()))
    assert imports.confirm(city.district, first.pk) == 1
    second = imports.hand_in(city.dispatcher, "patrol", table(row(), row(seen="焚烧")))
    told = imports.preview(city.dispatcher, second)
    assert (told.known, told.dismissed) == (1, 0)
    Finding.objects.filter(imported=first).update(state=Finding.State.DISMISSED)
    told = imports.preview(city.dispatcher, second)
    assert (told.known, told.dismissed) == (0, 1)
    client.force_login(city.dispatcher)
    assert "1 行对应的线索已被排除" in client.get(second.get_absolute_url()).content.decode()
    assert imports.confirm(city.dispatcher, second.pk) == 1
    assert Finding.objects.get(imported=first).state == Finding.State.DISMISSED


def test_who_may_see_and_import(city, client):
    kept = imports.hand_in(city.district, "patrol", table(row("1")))
    client.force_login(city.district2)
    assert client.get(kept.get_absolute_url()).status_code == 404
    assert client.post(kept.get_absolute_url()).status_code == 404
    client.force_login(city.grid)
    assert client.get(kept.get_absolute_url()).status_code == 403
    with pytest.raises(Refused):
        imports.hand_in(city.grid, "patrol", table(row("1")))
    # Two people's number 1 are two findings.
    assert imports.confirm(city.dispatcher, kept.pk) == 1
    other = imports.hand_in(city.dispatcher, "patrol", table(row("1"), row("2")))
    assert imports.confirm(city.dispatcher, other.pk) == 2


def test_a_file_changed_on_the_disk_is_not_imported(city):
    kept = imports.hand_in(city.dispatcher, "patrol", table(row("1")))
    with open(kept.file.path, "ab") as file:  # noqa: PTH123
        file.write(b"\n")
    with translation.override("en"), pytest.raises(Refused, match="digest differs"):
        imports.confirm(city.dispatcher, kept.pk)
    assert not Finding.objects.exists()


@pytest.mark.parametrize("written", ["2026-11-01 08:00", "2026年11月1日 8:00", "2026/11/1 8:00"])
def test_times_of_a_table_are_local(city, written):
    kept = imports.hand_in(city.dispatcher, "patrol", table(row("1", written)))
    imports.confirm(city.dispatcher, kept.pk)
    began = Finding.objects.get().began
    assert timezone.localtime(began).utcoffset() == timedelta(hours=8)
    assert began.hour == 0
