"""Items of a rectification list and four steps, driven against specifications of their own."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from bureau.campaigns.conftest import HEAD, ROW, enter
from bureau.cases import city as cities
from bureau.cases.machine import Machine, drive, person
from jingwei.bureau.cases import services, tasks

SHANGHAI = ZoneInfo("Asia/Shanghai")
OTHERS = ("dispatcher", "leader", "grid", "enterprise", "auditor", "district2", "grid2")
# Two milestones, in two months; the list says the end of the year.
ENDS = date(2026, 12, 31)


def over(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 23, 59, 59, tzinfo=SHANGHAI)


class Rectification(Machine):
    """One item: a department or a district leads it, the other one takes part."""

    SPECIFICATION = {
        ("assigned", "take"): ("lead", "rectifying"),
        ("rectifying", "report"): ("lead", "reported"),
        ("reported", "verify"): ("dispatcher", "verified"),
        ("verified", "accept"): ("leader", "cleared"),
        ("rectifying", "milestone"): ("lead party", "rectifying"),
        ("reported", "return"): ("dispatcher", "rectifying"),
        ("verified", "reject"): ("leader", "reported"),
        ("assigned", "extend"): ("leader", "assigned"),
        ("rectifying", "extend"): ("leader", "rectifying"),
        **{
            (state, "comment"): ("lead party dispatcher leader", state)
            for state in ("assigned", "rectifying", "reported", "verified")
        },
        ("assigned", "missed"): ("", "assigned"),
        ("rectifying", "missed"): ("", "rectifying"),
    }
    TURN = {
        "assigned": "lead",
        "rectifying": "lead",
        "reported": "dispatcher",
        "verified": "leader",
    }
    PEOPLE = ("department", "district", "district1b", *OTHERS)
    FORMS = {
        "milestone": {"text": "方案已批复"}, "report": {"text": "已截污纳管"},
        "verify": {"text": "现场无直排"}, "return": {"text": "一处渗漏"},
        "accept": {"text": "同意销号"}, "reject": {"text": "材料不全"}, "extend": {"text": "汛期"},
        "comment": {"text": "请加快"},
    }  # fmt: skip

    def begin(self, data: st.DataObject) -> tuple[Any, Any]:
        city = cities.build()
        person(city, "district1b", like="district")
        sides = {"lead": {"department"}, "party": {"district", "district1b"}}
        row = dict(zip(HEAD, ROW, strict=True))
        if data.draw(st.booleans(), label="the district leads"):
            sides = {"lead": sides["party"], "party": sides["lead"]}
            row |= {"责任单位": "district-110108", "配合单位": "市水务局"}
        self.sides, self.open, self.due = sides, 2, ENDS
        self.planned = {0: date(2026, 11, 25), 1: date(2026, 12, 20)}  # open and not missed
        self.taken_part = False
        self.day = ENDS  # of the next extension
        _programme, (item,) = enter(city, list(row.values()))
        return city, item.case

    def named(self, word: str) -> set[str]:
        return self.sides.get(word, {word})

    def possible(self, who: str, act: str) -> bool:
        wanted = {
            "milestone": self.open > 0,
            "report": self.open == 0,
            "extend": self.day > self.due and over(self.day) > self.now,
        }
        return wanted.get(act, True)

    def form(self, act: str) -> dict[str, Any]:
        self.case.refresh_from_db()
        left = [i for i, m in enumerate(self.case.detail["milestones"]) if not m.get("done")]
        more = {"milestone": str(left[-1] if left else 0)} if act == "milestone" else {}
        return {**self.FORMS.get(act, {}), **more, "day": self.day.isoformat()}

    def turn(self) -> str:
        """It waits for who takes part, too, until that office has reached a milestone or none is
        left."""
        words = super().turn()
        asked = self.state == "rectifying" and not self.taken_part and self.open
        return f"{words} party" if asked else words

    def did(self, who: str, act: str) -> None:
        self.taken_part = self.taken_part or (act == "milestone" and who in self.sides["party"])
        if act == "milestone":
            self.open -= 1
            self.planned.pop(self.open, None)  # they are reported from the last to the first
        self.due = self.day if act == "extend" else self.due

    @rule(days=st.integers(-40, 90))
    def another_day_is_proposed(self, days: int) -> None:
        self.day = ENDS + timedelta(days=days)

    @rule(days=st.sampled_from([1, 7, 40]))
    def days_go_by(self, days: int) -> None:
        """Of what was missed meanwhile is told once, together, where it is still to be rectified."""
        self.now += timedelta(days=days)
        for _twice in range(2):
            tasks.tick(self.now)
        missed = [i for i, day in self.planned.items() if over(day) <= self.now]
        for number in missed:
            del self.planned[number]
        self.events, self.version = self.events + bool(missed), self.version + bool(missed)

    @invariant()
    def it_wakes_at_the_next_milestone(self) -> None:
        self.case.refresh_from_db()
        assert self.case.wake_at == min(map(over, self.planned.values()), default=None)

    @invariant()
    def deadline_and_milestones_are_what_was_said(self) -> None:
        self.case.refresh_from_db()
        due = self.case.due.astimezone(SHANGHAI)
        assert due.replace(tzinfo=None) == datetime(*self.due.timetuple()[:3], 23, 59, 59)
        assert sum("done" not in m for m in self.case.detail["milestones"]) == self.open
        assert bool(self.case.closed) == (self.state == "cleared")


class FourSteps(Machine):
    """One hot spot pushed to a district, looked at again on its day by another person."""

    SPECIFICATION = {
        ("pushed", "sign"): ("district", "investigating"),
        ("investigating", "found"): ("district grid", "rectifying"),
        ("rectifying", "rectified"): ("district", "watching"),
        ("watching", "now"): ("dispatcher", "followup"),
        ("followup", "back"): ("district grid", "rectifying"),
        ("followup", "stays"): ("district grid", "closed"),
        ("investigating", "nothing"): ("district grid", "closed"),
        **{
            (state, "comment"): ("district grid dispatcher", state)
            for state in ("pushed", "investigating", "rectifying", "watching", "followup")
        },
        ("watching", "wake"): ("", "followup"),
    }
    TURN = {
        "pushed": "district", "investigating": "district grid", "rectifying": "district",
        "watching": "dispatcher", "followup": "district grid",
    }  # fmt: skip
    PEOPLE = ("district", "district1b", "department", *OTHERS)
    PHOTOS = frozenset({"found", "nothing", "stays", "back"})
    FORMS = {
        "found": {"cause": "露天喷涂", "text": "责令停止"}, "nothing": {"text": "周边均已排查"},
        "rectified": {"text": "已建喷漆房", "days": "30"}, "now": {"text": "群众再次反映"},
        "back": {"text": "又见喷涂"}, "comment": {"text": "请加快"},
    }  # fmt: skip

    def begin(self, data: st.DataObject) -> tuple[Any, Any]:
        city = cities.build()
        person(city, "district1b", like="district")
        self.rectifiers: set[str] = set()
        self.wakes = None
        row = cities.finding(city, kind="air_hotspot", enterprise=None, point=None)
        case = services.open_case(
            city.dispatcher, [row],
            {"title": "热点网格", "text": "排查周边涉气企业", "days": "10"},
            flow="four_step", now=self.now,
        )  # fmt: skip
        return city, case

    def named(self, word: str) -> set[str]:
        return {"district", "district1b"} if word == "district" else {word}

    def possible(self, who: str, act: str) -> bool:
        return act != "stays" or who not in self.rectifiers

    def did(self, who: str, act: str) -> None:
        if act == "rectified":
            self.rectifiers.add(who)
            self.wakes = self.now + timedelta(days=30)
        elif act == "now":
            self.wakes = None

    @rule(days=st.sampled_from([1, 15, 30]))
    def days_go_by_while_it_is_watched(self, days: int) -> None:
        """The clock wakes it on its day, once, and never a case that went on by itself."""
        if self.state not in ("watching", "closed"):
            return
        self.now += timedelta(days=days)
        for _twice in range(2):
            tasks.tick(self.now)
        if self.wakes and self.now >= self.wakes:
            self.state, self.wakes = "followup", None
            self.events, self.version = self.events + 1, self.version + 1

    @invariant()
    def it_is_woken_only_on_its_day(self) -> None:
        self.case.refresh_from_db()
        assert self.case.wake_at == self.wakes
        assert bool(self.case.closed) == (self.state == "closed")


@pytest.mark.django_db
@pytest.mark.parametrize("machine", [Rectification, FourSteps])
def test_flow_keeps_to_the_specification(machine, data):
    drive(machine, runs=8, steps=15)
