"""Each role's home: what needs this person now."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.db import transaction
from django.test import Client

import world as worlds
from jingwei.bureau.cases import services as cases
from jingwei.bureau.cases.models import Case
from jingwei.bureau.console import selectors
from jingwei.bureau.notices.models import Message
from jingwei.bureau.notices.services import tell


@pytest.fixture
def world(db: None, data: object) -> worlds.World:
    """One order that waits for the district, its clock running."""
    made = worlds.build()
    dispatcher = made.users["dispatcher"]
    case = cases.open_case(
        dispatcher,
        [worlds.finding(made)],
        {"title": "督办单甲", "text": "限期整改", "basis": "许可证"},
    )
    cases.act(dispatcher, case.pk, "issue", 1, {"days": "5"})
    Message.objects.all().delete()
    with transaction.atomic():
        tell(list(made.users.values()), "有新消息", kind="turn", url="/cases/")
    return made


def page(world: worlds.World, role: str) -> str:
    client = Client(headers={"accept-language": "en"})
    client.force_login(world.users[role])
    return client.get("/").content.decode()


@pytest.mark.parametrize(
    ("role", "parts"),
    [
        ("dispatcher", ["figures", "waiting", "clocks", "findings"]),
        ("district", ["figures", "waiting", "clocks", "findings"]),
        ("leader", ["figures", "waiting", "departments", "clocks", "findings"]),
        ("auditor", ["figures", "clocks", "findings"]),
        ("grid", ["waiting", "messages", "figures", "findings"]),
        ("department", ["waiting", "messages", "figures", "findings"]),
        ("enterprise", ["waiting", "messages", "figures", "findings"]),
    ],
)
def test_parts_and_their_order(world: worlds.World, role: str, parts: list[str]) -> None:
    shown = page(world, role)
    places = {
        name: shown.find(f'id="{name}-title"')
        for name in ("figures", "waiting", "messages", "departments", "clocks", "findings")
    }
    found = sorted((at, name) for name, at in places.items() if at >= 0)
    assert [name for _at, name in found] == parts


def test_a_clock_says_whose_turn_it_is(world: worlds.World) -> None:
    shown = page(world, "dispatcher")
    clock = shown[shown.index('id="clocks-title"') :]
    assert "督办单甲" in clock
    assert "District officer" in clock


def test_nobody_sees_the_clocks_of_others(world: worlds.World) -> None:
    assert "督办单甲" not in page(world, "district_elsewhere")


def test_read_messages_leave_the_home(world: worlds.World) -> None:
    assert "有新消息" in page(world, "grid")
    Message.objects.update(read=datetime.now(UTC))
    assert "有新消息" not in page(world, "grid")


def test_the_load_of_departments(world: worlds.World) -> None:
    now = datetime.now(UTC)
    assert selectors.loads(world.users["leader"], now) == [
        selectors.Load("第一分中心", under_way=1, late=0, risen=0)
    ]
    Case.objects.update(level_due=now, clock=now, escalated=2)
    [load] = selectors.loads(world.users["leader"], now)
    assert (load.late, load.risen) == (1, 1)
    assert selectors.loads(world.users["district_elsewhere"], now) == []
