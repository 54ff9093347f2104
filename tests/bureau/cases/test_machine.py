"""A machine drives the flow against a specification that was written down apart from it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from bureau.cases.city import DOCUMENT, FORMS, NOW, build, finding
from bureau.cases.machine import Machine, drive, person
from jingwei.bureau.cases import services

# The order as issue 2 tells it: (state, act) → (who, state after).
ALL = "dispatcher district grid department enterprise"
SPECIFICATION = {
    ("draft", "issue"): ("dispatcher", "issued"),
    ("draft", "amend"): ("dispatcher", "draft"),
    ("draft", "withdraw"): ("dispatcher", "withdrawn"),
    ("draft", "comment"): ("dispatcher district grid", "draft"),
    ("issued", "sign"): ("district", "rectifying"),
    ("issued", "extend"): ("dispatcher", "issued"),
    ("issued", "transfer"): ("dispatcher district", "issued"),
    ("issued", "comment"): (ALL, "issued"),
    ("issued", "pause"): ("dispatcher", "issued"),
    ("issued", "resume"): ("dispatcher", "issued"),
    ("rectifying", "pause"): ("dispatcher", "rectifying"),
    ("rectifying", "resume"): ("dispatcher", "rectifying"),
    ("rectifying", "answer"): ("enterprise", "answered"),
    ("rectifying", "extend"): ("dispatcher", "rectifying"),
    ("rectifying", "transfer"): ("dispatcher district", "issued"),
    ("rectifying", "comment"): (ALL, "rectifying"),
    ("answered", "verify"): ("grid", "verified"),
    ("answered", "reject"): ("grid", "rectifying"),
    ("answered", "comment"): (ALL, "answered"),
    ("verified", "accept"): ("district", "accepted"),
    ("verified", "send_back"): ("district", "rectifying"),
    ("verified", "comment"): (ALL, "verified"),
    ("accepted", "close"): ("dispatcher", "closed"),
    ("accepted", "return"): ("dispatcher", "verified"),
    ("accepted", "comment"): (ALL, "accepted"),
}
# Acts beside the way, in every state under way (publishing also when it is closed).
UNDER_WAY = ("issued", "rectifying", "answered", "verified", "accepted")
for _state in UNDER_WAY:
    SPECIFICATION |= {
        (_state, "propose"): ("dispatcher", _state),
        (_state, "list"): ("leader", _state),
        (_state, "decline"): ("leader", _state),
        (_state, "lift"): ("leader", _state),
    }
for _state in (*UNDER_WAY, "closed"):
    SPECIFICATION |= {
        (_state, "publish"): ("dispatcher leader", _state),
        (_state, "unpublish"): ("dispatcher leader", _state),
    }
TURN = {
    "draft": "dispatcher",
    "issued": "district",
    "rectifying": "enterprise",
    "answered": "grid",
    "verified": "district",
    "accepted": "dispatcher",
}
PEOPLE = [
    "dispatcher",
    "district",
    "district1b",
    "grid",
    "department",
    "enterprise",
    "auditor",
    "leader",
    "district2",
    "grid2",
    "enterprise2",
]


class Order(Machine):
    """One case; two districts to be transferred between."""

    SPECIFICATION = SPECIFICATION
    TURN = TURN
    PEOPLE = PEOPLE
    FORMS = FORMS
    PHOTOS = frozenset({"verify", "reject"})
    HANDS = (
        ("district", "district1b"), ("district1b", "district2"), ("district2", "district"),
        ("grid", "grid2"), ("grid2", "grid"),
    )  # fmt: skip

    def begin(self, data: st.DataObject) -> tuple[Any, Any]:
        self.home = 0
        self.paused = self.public = self.asked = self.listed = self.late = False
        city = build()
        person(city, "district1b", like="district")
        return city, services.open_case(city.dispatcher, [finding(city)], DOCUMENT, now=NOW)

    def named(self, word: str) -> set[str]:
        if word in ("district", "grid") and self.home:
            return {word + "2"}
        if word == "district":
            return {"district", "district1b"}
        return set() if word == "department" and self.home else {word}  # it has one district

    def possible(self, who: str, act: str) -> bool:
        wanted = {
            "pause": not self.paused and not self.late,
            "extend": not self.late,  # by a week: the deadline passed two weeks ago
            "resume": self.paused,
            "publish": not self.public,
            "unpublish": self.public,
            "propose": not self.asked and not self.listed,
            "list": self.asked,
            "decline": self.asked,
            "lift": self.listed,
            "close": not self.listed,
        }
        return wanted.get(act, True)

    def form(self, act: str) -> dict[str, Any]:
        more = {"region": self.city.regions[1 - self.home].pk} if act == "transfer" else {}
        return {**FORMS[act], **more}

    def did(self, who: str, act: str) -> None:
        self.home = 1 - self.home if act == "transfer" else self.home
        self.paused = act == "pause" or (self.paused and act not in ("resume", "answer"))
        self.public = act == "publish" or (self.public and act != "unpublish")
        self.asked = act == "propose" or (self.asked and act not in ("list", "decline"))
        self.listed = act == "list" or (self.listed and act != "lift")

    def place(self) -> tuple[str, str]:
        return str(self.home), str(self.home)

    @precondition(lambda self: self.case.due and not self.paused and not self.late)
    @rule()
    def the_deadline_passes(self) -> None:
        self.case.refresh_from_db()
        self.now, self.late = self.case.due + timedelta(days=14), True

    def turn(self) -> str:
        """A leader is asked too where a listing is proposed."""
        words = super().turn()
        return f"{words} leader" if words and self.asked else words


@pytest.mark.django_db
def test_flow_keeps_to_the_specification():
    drive(Order, runs=12, steps=25)
