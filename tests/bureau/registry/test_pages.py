"""Enterprise list, file, export, boundaries, admin."""

from __future__ import annotations

import csv
import io
import json
import re

import pytest
from django.urls import reverse

from jingwei.bureau.access import Role
from jingwei.bureau.registry import selectors, views
from jingwei.bureau.registry.models import Enterprise, Outlet, PermitLimit, Point

pytestmark = pytest.mark.django_db

LIST = reverse("registry:list")
VISIBLE = {
    Role.DISPATCHER: {"power", "bare", "empty"},
    Role.AUDITOR: {"power", "bare", "empty"},
    Role.DISTRICT: {"power"},
    Role.GRID: {"power"},
    Role.DEPARTMENT: {"power"},
    Role.ENTERPRISE: {"bare"},
}


def names(response) -> set[str]:
    return {e.name for e in response.context["page"]}


@pytest.mark.parametrize("url", [LIST, reverse("registry:export"), reverse("registry:regions")])
def test_login_is_demanded(client, city, url: str):
    response = client.get(url)
    assert response.status_code == 302
    assert response["Location"].startswith(reverse("accounts:login"))


@pytest.mark.parametrize("role", VISIBLE)
def test_everybody_sees_what_is_in_the_own_jurisdiction(login, city, role: str):
    client = login(role)
    response = client.get(LIST)
    assert response.status_code == 200
    assert names(response) == {getattr(city, n).name for n in VISIBLE[role]}
    body = b"".join(client.get(reverse("registry:export")).streaming_content).decode()
    for name in ("power", "bare", "empty"):
        enterprise = getattr(city, name)
        shown = name in VISIBLE[role]
        assert client.get(enterprise.get_absolute_url()).status_code == (200 if shown else 404)
        assert (enterprise.uscc in body) is shown


def test_a_user_without_a_role_is_refused(client, city):
    user = city.users[Role.GRID]
    user.role = ""
    user.save()
    client.force_login(user)
    assert client.get(LIST).status_code == 403


def test_nothing_is_written_by_these_pages(login, city):
    client = login()
    for url in (LIST, city.power.get_absolute_url(), reverse("registry:export")):
        assert client.post(url).status_code == 405


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("q=热电", {"power"}),
        ("q=91110000MA00000002", {"bare"}),
        ("q=某路", {"power", "bare", "empty"}),
        ("q=%00&region=%00&industry=%00", {"power", "bare", "empty"}),
        ("region=110107", {"bare", "empty"}),
        ("industry=chemicals", {"bare"}),
        ("permit=none", {"empty"}),
        ("permit=no_limits", {"bare"}),
        ("region=110107&industry=cement", {"empty"}),
        ("industry=nothing", set()),
        ("page=99", {"power", "bare", "empty"}),
        ("page=x&sort=nothing", {"power", "bare", "empty"}),
    ],
)
def test_filters_stand_in_the_url(login, city, query: str, found: set[str]):
    response = login().get(f"{LIST}?{query}")
    assert response.status_code == 200
    assert names(response) == {getattr(city, n).name for n in found}


def test_counts(city):
    rows = {e.pk: e for e in selectors.enterprises(city.users[Role.DISPATCHER])}
    power = rows[city.power.pk]
    assert (power.permit_count, power.outlet_count, power.point_count) == (1, 2, 1)
    assert power.limit_count == 2  # the one that ended in 2024 does not count
    assert rows[city.empty.pk].permit_count == 0
    city.point.enabled = False
    city.point.save()
    again = selectors.enterprises(city.users[Role.DISPATCHER]).get(pk=city.power.pk)
    assert again.point_count == 0


def test_sorting_by_points(login, city):
    response = login().get(f"{LIST}?sort=points")
    assert next(iter(response.context["page"])).pk == city.power.pk


def test_an_empty_list_says_what_to_do(login, city):
    text = login().get(f"{LIST}?q=nobody").content.decode()
    assert "No enterprise matches these filters." in text
    assert "Clear filters" in text
    Enterprise.objects.filter(region=city.east).update(region=city.west)
    text = login(Role.DISTRICT).get(LIST).content.decode()
    assert "There is no enterprise in your jurisdiction yet." in text


def test_the_list_asks_the_same_number_of_questions_however_long_it_is(
    login, city, django_assert_num_queries
):
    client = login(Role.DISTRICT)
    client.get(LIST)

    def count() -> int:
        from django.db import connection
        from django.test.utils import CaptureQueriesContext

        with CaptureQueriesContext(
            connection,
        ) as caught:
            assert client.get(LIST).status_code == 200
        return len(caught)

    few = count()
    for n in range(100, 160):
        city.enterprise(n, city.east, f"示例厂 {n}")
    assert count() == few
    # The list itself: how many, which rows, which districts.
    user = city.users[Role.DISTRICT]
    user.areas()
    with django_assert_num_queries(3):
        rows = selectors.search(user, {})
        assert rows.count() == 61
        assert len(list(rows[:50])) == 50
        selectors.regions_with_enterprises(user)


def test_pages_of_a_long_list_keep_their_filters(login, city):
    for n in range(100, 160):
        city.enterprise(n, city.east, f"示例厂 {n}", industry="steel")
    response = login().get(f"{LIST}?industry=steel&page=2")
    assert len(response.context["page"].object_list) == 10
    assert "industry=steel&amp;page=1" in response.content.decode()


def test_boundaries_are_not_read_for_a_list(city):
    """A boundary is large: no page of enterprises may load it."""
    enterprise = selectors.enterprises(city.users[Role.DISPATCHER]).get(pk=city.power.pk)
    assert "geometry" in enterprise.region.get_deferred_fields()
    file = selectors.enterprise_file(city.users[Role.DISPATCHER], city.power.uscc)
    assert "geometry" in file.enterprise.region.get_deferred_fields()


def test_export(login, city):
    response = login().get(reverse("registry:export") + "?region=110107")
    body = b"".join(response.streaming_content)
    assert response["Content-Type"].startswith("text/csv")
    assert "attachment" in response["Content-Disposition"]
    assert body.startswith(b"\xef\xbb\xbf")
    rows = list(csv.reader(io.StringIO(body.decode("utf-8-sig"))))
    assert rows[0][:2] == ["Unified social credit code", "Name"]
    assert [r[0] for r in rows[1:]] == [city.empty.uscc, city.bare.uscc]
    assert rows[1][1] == "'=示例公式厂"  # no formula for a spreadsheet


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", " =1", "\t=1", "\r=1"])
def test_cells_that_could_be_formulas_are_guarded(text: str):
    assert views.guarded(text) == "'" + text


@pytest.mark.parametrize("value", ["示例", "a=b", "", -1.5, 0, None])
def test_other_cells_are_left_alone(value):
    assert views.guarded(value) == value


def test_the_file_of_an_enterprise(login, city):
    text = login().get(city.power.get_absolute_url()).content.decode()
    assert "示例热电一厂" in text
    assert "Fictional" in text
    assert city.permit.number in text
    assert "≤ 50 mg/m³" in text
    assert "15 %" in text
    assert "From a secondary source" in text
    assert "Read in the standard" in text
    assert "Not in force" in text
    assert "NOx, Oxygen content, zz" in text
    assert "no automatic monitor" in text
    assert "None" not in text
    chinese = login(language="zh-hans").get(city.power.get_absolute_url()).content.decode()
    assert "来自二手资料" in chinese
    assert "氮氧化物" in chinese
    assert "示例热电一厂" in chinese


def test_a_permit_without_limits_says_so(login, city):
    text = login().get(city.bare.get_absolute_url()).content.decode()
    assert "This permit has no limits in the file." in text
    assert "No outlet is registered." in text
    assert "Fictional" not in text


def test_an_expired_permit_says_so(login, city):
    text = login().get(city.empty.get_absolute_url()).content.decode()
    assert "There is no valid discharge permit in this file." in text
    assert "Not valid today" in text


def test_limits_in_force(city):
    file = selectors.enterprise_file(city.users[Role.DISPATCHER], city.power.uscc)
    (part,) = file.permits
    assert [(x.limit.factor, x.value, x.in_force) for x in part.lines] == [
        ("a21002", "50", True),
        ("a21026", "35", True),
        ("a21026", "100", False),
    ]


def test_the_file_asks_the_same_number_of_questions_however_much_it_holds(login, city):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    client = login()
    url = city.power.get_absolute_url()
    client.get(url)
    with CaptureQueriesContext(connection) as few:
        client.get(url)
    for n in range(2, 12):
        outlet = Outlet.objects.create(
            enterprise=city.power, code=f"DA{n:03d}", name=f"{n} 号", medium="air",
            longitude=116.4, latitude=39.9,
        )  # fmt: skip
        Point.objects.create(
            mn=f"MN{n:020d}", st="31", name=f"点 {n}", kind="source", outlet=outlet,
            region=city.east, longitude=116.4, latitude=39.9, factors=["a34013"], password="1",
        )  # fmt: skip
        PermitLimit.objects.create(
            permit=city.permit, outlet=outlet, factor="a34013", period="hour", value=10,
            unit="mg/m³", source="x", verified="memory", valid_from="2024-01-01",
        )  # fmt: skip
    with CaptureQueriesContext(connection) as many:
        client.get(url)
    assert len(many) == len(few)


def finding(city, enterprise: Enterprise, title: str):
    from django.utils import timezone

    from jingwei.bureau.findings.models import Finding

    return Finding.objects.create(
        kind="exceedance", episode=title, title=title, region=enterprise.region,
        enterprise=enterprise, longitude=116.4, latitude=39.9, began=timezone.now(),
        ended=timezone.now(),
    )  # fmt: skip


def test_findings_of_the_enterprise_and_of_no_other(login, city):
    finding(city, city.power, "own finding")
    finding(city, city.bare, "foreign finding")
    for n in range(20):
        finding(city, city.power, f"more {n}")
    client = login()
    text = client.get(city.power.get_absolute_url()).content.decode()
    assert "foreign finding" not in text
    file = client.get(city.power.get_absolute_url()).context["file"]
    assert len(file.findings) == selectors.LATEST
    assert file.cases == []
    assert "own finding" not in text  # older than the latest
    assert "foreign finding" in client.get(city.bare.get_absolute_url()).content.decode()


def test_an_unknown_code_is_not_found(login, city):
    client = login()
    assert client.get(reverse("registry:enterprise", args=["9" * 18])).status_code == 404
    for text in ("nobody", "%00", "9" * 19):
        assert client.get(f"{LIST}{text}/").status_code == 404


def test_boundaries(login, city):
    client = login()
    response = client.get(reverse("registry:regions"))
    assert response["Content-Type"] == "application/geo+json"
    assert "private" in response["Cache-Control"]
    assert "max-age=3600" in response["Cache-Control"]
    body = json.loads(response.content)
    assert body["type"] == "FeatureCollection"
    assert [f["properties"]["code"] for f in body["features"]] == ["110105", "110107"]
    east = body["features"][0]
    assert east["properties"]["name"] == "Chaoyang"
    assert east["properties"]["longitude"] == 116.5
    assert east["geometry"]["type"] == "Polygon"
    again = client.get(reverse("registry:regions"), headers={"if-none-match": response["ETag"]})
    assert again.status_code == 304
    assert again.content == b""
    city.east.name_en = "Chaoyang District"
    city.east.save()
    changed = client.get(reverse("registry:regions"), headers={"if-none-match": response["ETag"]})
    assert changed.status_code == 200
    chinese = login(language="zh-hans").get(reverse("registry:regions"))
    assert json.loads(chinese.content)["features"][0]["properties"]["name"] == "朝阳区"


def test_checks(city):
    """`jingwei fsck`: overlapping limits, a limit of a foreign outlet, an unknown factor."""
    from jingwei.bureau.registry.checks import check

    assert list(check()) == []
    city.limit("a21002", "30", valid_from="2025-01-01")
    city.limit("zz", "1")
    foreign = Outlet.objects.create(
        enterprise=city.bare, code="DA001", name="x", medium="air", longitude=116, latitude=39
    )
    PermitLimit.objects.create(
        permit=city.permit, outlet=foreign, factor="a34013", period="hour", value=1, unit="mg/m³",
        source="x", verified="memory", valid_from="2024-01-01",
    )  # fmt: skip
    found = list(check())
    assert len(found) == 3
    assert any("a21002" in x and "are in force at once" in x for x in found)
    assert any("of another enterprise" in x for x in found)
    assert any("'zz'" in x for x in found)


ADMIN = ["region", "enterprise", "outlet", "permit", "permitlimit", "point"]


@pytest.mark.parametrize("model", ADMIN)
def test_the_admin_is_for_superusers(login, city, model: str):
    client = login("root")
    changes = {
        "region": city.east, "enterprise": city.power, "outlet": city.stack,
        "permit": city.permit, "permitlimit": city.nox, "point": city.point,
    }  # fmt: skip
    urls = [
        reverse(f"admin:registry_{model}_changelist") + "?q=x",
        reverse(f"admin:registry_{model}_add"),
        reverse(f"admin:registry_{model}_change", args=[changes[model].pk]),
    ]
    for url in urls:
        assert client.get(url).status_code == 200
    from django.contrib.auth.models import Permission

    officer = city.users[Role.DISPATCHER]
    officer.is_staff = True
    officer.save()
    officer.user_permissions.set(Permission.objects.all())
    client = login(Role.DISPATCHER)
    for url in urls:
        assert client.get(url).status_code == 403


def test_the_admin_refuses_what_the_services_refuse(login, city):
    client = login("root")
    response = client.post(
        reverse("admin:registry_permitlimit_add"),
        {
            "permit": city.permit.pk, "outlet": city.stack.pk, "factor": "a21002",
            "period": "hour", "value": "30", "unit": "mg/m³", "source": "x",
            "verified": "memory", "valid_from": "2025-01-01",
        },
    )  # fmt: skip
    assert response.status_code == 200
    assert "already has a limit" in response.content.decode()
    assert PermitLimit.objects.filter(factor="a21002").count() == 1
    response = client.post(
        reverse("admin:registry_enterprise_add"),
        {
            "uscc": "91110000MA00000001", "name": "x", "industry": "other", "region": "110105",
            "longitude": "116", "latitude": "39",
        },
    )  # fmt: skip
    assert response.status_code == 200
    assert not Enterprise.objects.filter(name="x").exists()


def test_a_limit_is_ended_and_not_rewritten(login, city):
    client = login("root")
    response = client.post(
        reverse("admin:registry_permitlimit_change", args=[city.nox.pk]),
        {"valid_to": "2026-06-30", "value": "500"},
    )
    assert response.status_code == 302
    city.nox.refresh_from_db()
    assert (str(city.nox.valid_to), int(city.nox.value)) == ("2026-06-30", 50)


def test_a_changed_point_reaches_the_register_of_the_gateway(
    login, city, data, django_capture_on_commit_callbacks
):
    from jingwei.telemetry.register import load

    client = login("root")
    with django_capture_on_commit_callbacks(execute=True):
        response = client.post(
            reverse("admin:registry_point_change", args=[city.point.pk]),
            {
                "name": "改名", "kind": "source", "outlet": city.stack.pk, "region": "110105",
                "longitude": "116.4", "latitude": "39.9", "factors": "a21002, a19001",
                "password": "123456", "version": "2017", "enabled": "on",
            },
        )  # fmt: skip
    assert response.status_code == 302, response.context["errors"]
    assert load(data / "register.json")[city.point.mn].name == "改名"
    city.point.refresh_from_db()
    assert city.point.factors == ["a21002", "a19001"]


def test_factors_of_a_point_are_typed_as_codes_and_must_be_known(login, city):
    client = login("root")
    url = reverse("admin:registry_point_change", args=[city.point.pk])
    form = client.get(url).context["adminform"].form
    assert form["factors"].value() == "a21002, a19001, zz"
    fields = {
        "name": "x", "kind": "source", "outlet": city.stack.pk, "region": "110105",
        "longitude": "116.4", "latitude": "39.9", "password": "123456", "enabled": "on",
    }  # fmt: skip
    for typed, version, unknown in (
        ("a21002，zz", "2017", "zz"),
        ("a21002", "2005", "a21002"),
        ('["a21002"]', "2017", "[&quot;a21002&quot;]"),
    ):
        page = client.post(url, {**fields, "factors": typed, "version": version})
        assert f"{unknown} is no factor of HJ 212" in page.content.decode().replace("&#x27;", "'")
    city.point.refresh_from_db()
    assert city.point.factors == ["a21002", "a19001", "zz"]


def test_the_admin_speaks_chinese(login, city):
    client = login("root", language="zh-hans")
    index = client.get("/admin/").content.decode()
    for text in ("泾渭 后台管理", "一企一档", "用户与部门", "排放口"):
        assert text in index
    page = client.get(reverse("admin:registry_permitlimit_changelist")).content.decode()
    assert "排放口" in page
    assert not re.search("Outlet|Permit[^l]", page)
    for name in ("outlet", "permitlimit", "point"):
        rows = {"outlet": city.stack, "permitlimit": city.nox, "point": city.point}
        for url in (
            reverse(f"admin:registry_{name}_add"),
            reverse(f"admin:registry_{name}_change", args=[rows[name].pk]),
        ):
            labels = re.findall(r"<label[^>]*>([^<]+)", client.get(url).content.decode())
            foreign = [x for x in labels if re.fullmatch(r"[A-Za-z ]+:?", x.strip())]
            assert labels
            assert not foreign, url
