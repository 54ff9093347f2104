"""A machine drives the flow of handling against a specification written apart from it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from bureau.cases.city import HANDLING, build, files_for, handle
from bureau.cases.machine import Machine, drive, person
from jingwei.bureau.cases import tasks

# (state, act) → (who, state after). "lead": people of the department that has the case; "joint":
# these and its parties. What depends on how often it was passed on stands in `possible`.
SPECIFICATION = {
    ("triage", "dispatch"): ("dispatcher", "dispatched"),
    ("triage", "dismiss"): ("dispatcher", "dismissed"),
    ("dispatched", "sign"): ("lead", "investigating"),
    ("dispatched", "refuse"): ("lead", "triage"),
    ("dispatched", "give_back"): ("lead", "dispatched"),
    ("dispatched", "dispute"): ("lead", "disputed"),
    ("dispatched", "transfer"): ("lead", "dispatched"),
    ("dispatched", "join"): ("lead dispatcher", "dispatched"),
    ("disputed", "assign"): ("dispatcher", "dispatched"),
    ("investigating", "transfer"): ("lead", "dispatched"),
    ("investigating", "coordinate"): ("lead", "disputed"),
    ("investigating", "join"): ("lead dispatcher", "investigating"),
    ("investigating", "contribute"): ("joint", "investigating"),
    ("investigating", "found"): ("lead", "rectifying"),
    ("investigating", "nothing"): ("lead", "unfounded"),
    ("unfounded", "confirm"): ("dispatcher", "dismissed"),
    ("unfounded", "look_again"): ("dispatcher", "investigating"),
    ("rectifying", "rectified"): ("lead", "rectified"),
    ("rectifying", "join"): ("lead dispatcher", "rectifying"),
    ("rectifying", "contribute"): ("joint", "rectifying"),
    ("rectified", "verify"): ("grid", "verified"),
    ("rectified", "reject"): ("grid", "rectifying"),
    ("verified", "close"): ("dispatcher", "closed"),
    ("verified", "return"): ("dispatcher", "rectifying"),
    ("looking_back", "held"): ("grid", "closed"),
    ("looking_back", "relapse"): ("grid", "relapsed"),
    ("relapsed", "overrule"): ("dispatcher", "closed"),
    ("relapsed", "reopen"): ("dispatcher", "investigating"),
    ("closed", "reopen"): ("dispatcher", "investigating"),
    ("dismissed", "reopen"): ("dispatcher", "investigating"),
}
# Where the case's own deadline runs: it can be paused and resumed; elsewhere it is not paused.
PAUSED = ("dispatched", "disputed", "investigating", "rectifying")
for _state in PAUSED:
    SPECIFICATION |= {
        (_state, "pause"): ("dispatcher", _state),
        (_state, "resume"): ("dispatcher", _state),
    }
TURN = {
    "triage": "dispatcher",
    "dispatched": "lead",
    "disputed": "dispatcher",
    "investigating": "lead",
    "unfounded": "dispatcher",
    "rectifying": "lead",
    "rectified": "grid",
    "verified": "dispatcher",
    "looking_back": "grid",
    "relapsed": "dispatcher",
}
DESKS = ("district", "district2", "department")


class Handling(Machine):
    """One case of one district; two districts and a department to be passed around among."""

    SPECIFICATION = SPECIFICATION
    TURN = TURN
    PEOPLE = (
        "dispatcher", "district", "district1b", "district2", "grid", "grid2", "department", "enterprise",
        "auditor", "leader",
    )  # fmt: skip
    LOOSE = frozenset({"contribute"})
    HANDS = (
        ("district", "district1b"), ("district1b", "district"), ("district", "district2"),
        ("grid", "grid2"), ("grid2", "grid"),
    )  # fmt: skip

    def begin(self, data: st.DataObject) -> tuple[Any, Any]:
        city = build()
        person(city, "district1b", like="district")
        self.paused = self.late = False
        self.desk = {
            "district": city.districts[0],
            "district2": city.districts[1],
            "department": city.department.department,
            "dispatcher": city.centre,
        }
        self.lead, self.parties, self.to = "dispatcher", set(), "district"
        self.senders: list[str] = []
        self.said: set[str] = set()
        self.settled = False
        self.looks = 0
        return city, handle(city)

    def named(self, word: str) -> set[str]:
        people = {"lead": {self.lead}, "joint": {self.lead} | self.parties}.get(word, {word})
        return people | ({"district1b"} if "district" in people else set())

    def place(self) -> tuple[str, str]:
        return "", self.lead

    def may_hold(self, who: str) -> bool:
        return "lead" not in self.turn().split() or who in self.named("lead")

    def turn(self) -> str:
        """It waits for those who take part, too, until they have said what they did."""
        joint = self.state in ("investigating", "rectifying")
        return " ".join([super().turn(), *(self.parties - self.said if joint else ())])

    def possible(self, who: str, act: str) -> bool:
        passed = len(self.senders)
        if act in ("transfer", "coordinate", "join") and self.to == self.lead:
            return False  # not to itself
        wanted = {
            "refuse": passed == 0,
            "give_back": passed == 1,
            "transfer": passed < 2,
            "dispute": passed >= 2,
            "coordinate": passed >= 2,
        }
        if act in ("pause", "resume"):
            return self.paused == (act == "resume") and (self.paused or not self.late)
        return act not in wanted or (wanted[act] and not self.settled)

    def form(self, act: str) -> Mapping[str, Any]:
        desk = self.desk[self.to].pk
        return {**HANDLING[act], "department": desk, "departments": [desk]}

    def files(self, act: str) -> Mapping[str, Any]:
        return files_for(act)

    def did(self, who: str, act: str) -> None:
        if act in ("dispatch", "assign"):
            self.lead = self.to
        elif act == "refuse":
            self.lead = "dispatcher"
        elif act == "transfer":
            self.senders.append(self.lead)
            self.lead = self.to
        elif act == "give_back":
            sender = self.senders[-1]
            self.senders.append(self.lead)
            self.lead = sender
        elif act in ("dispute", "coordinate"):
            self.senders.append(self.lead)
        elif act == "join":
            self.parties = {self.to}
        elif act == "contribute":
            self.said.add(who)
        elif act == "reopen" and self.lead == "dispatcher":
            self.lead = "district"
        self.settled = self.settled or act == "assign"
        stands = act == "pause" or (self.paused and act != "resume")
        self.paused = stands and self.state in PAUSED
        self.late = self.late and act != "reopen"
        self.looks = 0 if act == "close" else self.looks + (act in ("held", "overrule"))

    @rule(to=st.sampled_from(DESKS))
    def another_department_is_thought_of(self, to: str) -> None:
        self.to = to

    @precondition(lambda self: self.state in PAUSED and not self.paused and not self.late)
    @rule()
    def the_deadline_passes(self) -> None:
        self.case.refresh_from_db()
        self.now, self.late = self.case.due + timedelta(days=14), True

    def wait(self) -> bool:
        return self.state == "closed" and self.looks < 3 and self.time_passes()

    @precondition(lambda self: self.state == "closed")
    @rule()
    def a_hundred_days_go_by(self) -> None:
        self.time_passes()

    def time_passes(self) -> bool:
        """The clock wakes a closed case three times, and no more."""
        self.now += timedelta(days=100)
        tasks.tick(self.now)
        if self.looks < 3:
            self.state = "looking_back"
            self.events += 1
            self.version += 1
        return True

    @invariant()
    def it_is_paused_only_where_it_can_be_resumed(self) -> None:
        self.case.refresh_from_db()
        assert (self.case.paused is not None) == self.paused
        assert sum(pause["to"] is None for pause in self.case.pauses) == self.paused

    @invariant()
    def the_way_among_departments_is_kept(self) -> None:
        assert self.case.department == self.desk[self.lead]
        assert len(self.case.detail.get("moves", [])) == len(self.senders)


@pytest.mark.django_db
def test_flow_keeps_to_the_specification(data):
    drive(Handling, runs=12, steps=20)
