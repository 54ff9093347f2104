"""The pages of the organisation: departments, substitutes, working days."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

import world as worlds
from jingwei.bureau.accounts.models import CalendarChange, Jurisdiction, Substitution

ENGLISH = {"accept-language": "en"}


@pytest.fixture
def world(db: None, data: object) -> worlds.World:
    return worlds.build()


def login(world: worlds.World, name: str) -> Client:
    client = Client(headers=ENGLISH)
    client.force_login(world.users[name])
    return client


def rows(page: str) -> list[str]:
    return [part.split("</strong>")[0] for part in page.split('class="office"><strong>')[1:]]


def test_the_tree_stands_in_its_order_with_areas_and_matters(world) -> None:
    Jurisdiction.objects.filter(department=world.departments["housing"]).update(
        matter="construction"
    )
    page = login(world, "grid").get("/organisation/").content.decode()
    assert rows(page) == [
        "审计", "市指挥中心", "第一分中心", "朝阳网格站", "第二分中心", "住房城乡建设部门",
    ]  # fmt: skip
    assert "level-2" in page
    assert "Dust of construction sites" in page
    assert "Chaoyang" in page
    assert "the whole city" in page


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("朝阳网格", ["市指挥中心", "第一分中心", "朝阳网格站"]),
        ("district_else", ["市指挥中心", "第二分中心"]),
        ("nowhere", []),
        ("\0<script>", []),
    ],
)
def test_search_keeps_what_lies_above(world, text: str, found: list[str]) -> None:
    page = login(world, "grid").get("/organisation/", {"q": text}).content.decode()
    assert rows(page) == found
    assert "<script>alert" not in page


def test_arranging_calling_off_and_what_the_tree_says(world) -> None:
    today = timezone.localdate()
    client, absent = login(world, "district"), world.users["district"]
    address = f"/organisation/people/{absent.pk}/"
    assert "王di" in client.get(address).content.decode()
    said = {
        "substitute": world.users["district_elsewhere"].pk,
        "begins": today.isoformat(),
        "ends": (today + timedelta(days=2)).isoformat(),
        "reason": "培训",
    }
    wrong = client.post(address, {**said, "ends": (today - timedelta(days=1)).isoformat()})
    assert "The last day lies before the first." in wrong.content.decode()
    assert 'value="培训"' in wrong.content.decode()
    assert client.post(address, {**said, "substitute": world.users["grid"].pk}).status_code == 200
    assert not Substitution.objects.exists()
    assert client.post(address, said).status_code == 302
    row = Substitution.objects.get()
    tree = login(world, "grid").get("/organisation/").content.decode()
    assert f"until {row.ends:%m-%d}" in tree
    end = f"/organisation/substitutions/{row.pk}/end/"
    assert end not in login(world, "grid").get("/organisation/substitutions/").content.decode()
    login(world, "grid").post(end)
    row.refresh_from_db()
    assert row.ended is None
    assert end in client.get("/organisation/substitutions/").content.decode()
    client.post(end)
    row.refresh_from_db()
    assert row.ended is not None


def test_nobody_arranges_for_another_but_the_dispatcher(world) -> None:
    address = f"/organisation/people/{world.users['district'].pk}/"
    assert "Arrange a substitute" not in login(world, "grid").get(address).content.decode()
    assert "Arrange a substitute" in login(world, "dispatcher").get(address).content.decode()
    answer = login(world, "grid").post(
        address,
        {
            "substitute": world.users["district_elsewhere"].pk,
            "begins": "2030-01-01",
            "ends": "2030-01-02",
            "reason": "x",
        },
    )
    assert answer.status_code == 403
    assert "for yourself alone" in answer.content.decode()
    assert not Substitution.objects.exists()


def test_the_people_of_enterprises_are_not_listed(world) -> None:
    address = f"/organisation/people/{world.users['enterprise'].pk}/"
    assert login(world, "grid").get(address).status_code == 404
    assert login(world, "enterprise").get("/organisation/").status_code == 403


CHANGE = {
    "first": "2026-11-23",
    "last": "2026-11-24",
    "kind": "rest",
    "name": "水灾停工",
    "name_en": "Flood",
    "source": "市政府公告〔2026〕9号",
    "reason": "停工",
}


def test_a_year_is_shown_and_changed_by_the_administrator(world) -> None:
    admin = login(world, "admin")
    before = admin.get("/organisation/calendar/?year=2026").content.decode()
    assert "248 working days" in before
    answer = admin.post("/organisation/calendar/", CHANGE)
    assert answer["Location"] == "/organisation/calendar/?year=2026"
    page = login(world, "grid").get(answer["Location"]).content.decode()
    assert "246 working days" in page
    assert page.count("Flood") >= 2
    assert "市政府公告〔2026〕9号" in page
    assert "Change the calendar" not in page


def test_who_may_not_change_it_changes_nothing(world) -> None:
    answer = login(world, "dispatcher").post("/organisation/calendar/", CHANGE)
    assert answer.status_code == 403
    assert not CalendarChange.objects.exists()


def test_what_was_typed_wrong_comes_back(world) -> None:
    page = login(world, "admin").post("/organisation/calendar/", {**CHANGE, "name": ""})
    assert "Say what the day is called" in page.content.decode()
    assert "市政府公告〔2026〕9号" in page.content.decode()


def test_a_year_without_data_warns_and_nonsense_is_this_year(world) -> None:
    client = login(world, "grid")
    assert (
        "No holiday notice of 2027"
        in client.get("/organisation/calendar/?year=2027").content.decode()
    )
    assert (
        "No holiday notice" not in client.get("/organisation/calendar/?year=2026").content.decode()
    )
    for year in ("x", "-1", "99999", "²"):
        assert client.get("/organisation/calendar/", {"year": year}).status_code == 200


def test_open_matters_are_listed_and_handed_over(world) -> None:
    from jingwei.bureau.cases import services as cases

    dispatcher = world.users["dispatcher"]
    case = cases.open_case(
        dispatcher,
        [worlds.finding(world)],
        {"title": "督办单甲", "text": "限期整改", "basis": "许可证"},
    )
    cases.act(dispatcher, case.pk, "issue", 1, {"days": "5"})
    address = f"/organisation/people/{world.users['district'].pk}/"
    assert "督办单甲" not in login(world, "grid").get(address).content.decode()
    client = login(world, "dispatcher")
    assert "督办单甲" in client.get(address).content.decode()
    said = {
        "give": "1",
        "give-to": world.users["district_elsewhere"].pk,
        "give-cases": [case.pk],
        "give-text": "轮岗",
    }
    for wrong in ({"give-text": ""}, {"give-cases": []}, {"give-to": world.users["grid"].pk}):
        page = client.post(address, {**said, **wrong}).content.decode()
        assert "has-error" in page
        assert "督办单甲" in page
    assert login(world, "grid").post(address, said).status_code == 403
    answer = client.post(address, said, follow=True).content.decode()
    assert "1 case was handed over to" in answer
    assert "No case waits for this person." in answer
    case.refresh_from_db()
    assert case.holder == world.users["district_elsewhere"]
    seen = login(world, "district_elsewhere").get(f"/cases/{case.pk}/").content.decode()
    assert "轮岗" in seen
