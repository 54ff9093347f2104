"""An inspection, driven by office and phones against a specification written apart from it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from bureau.cases import city as cities
from bureau.cases.machine import Machine, drive, person
from jingwei.bureau.inspections import checks, services
from jingwei.bureau.inspections.models import Inspector, Record

from .test_inspections import OPENING, answers, signed

POOL = ("district", "district1b", "grid", "district2")  # the last one of another district
AFTER = ("signed", "found", "concluded", "published", "closed")


class Inspection(Machine):
    """One inspection; "answers" and "finish" are what phones send."""

    SPECIFICATION = {
        ("planned", "set_team"): ("dispatcher district", "ready"),
        ("ready", "answers"): ("inspectors", "spot"),
        ("spot", "finish"): ("inspectors", "signed"),
        ("signed", "problems"): ("district", "found"),
        ("found", "hand_over"): ("district", "concluded"),
        ("signed", "none"): ("district", "concluded"),
        ("concluded", "publish"): ("dispatcher", "published"),
        ("published", "close"): ("dispatcher", "closed"),
        ("ready", "change_team"): ("dispatcher district", "ready"),
        ("planned", "reschedule"): ("dispatcher district", "planned"),
        ("ready", "reschedule"): ("dispatcher district", "ready"),
        ("ready", "start"): ("inspectors", "spot"),
        ("spot", "answers"): ("inspectors", "spot"),
        ("spot", "sign"): ("inspectors", "signed"),  # never without the phone's record
        ("planned", "cancel"): ("dispatcher district", "cancelled"),
        ("ready", "cancel"): ("dispatcher district", "cancelled"),
        # A phone that heard no answer sends the end again, and is told what is there.
        **{(state, "finish"): ("finisher", state) for state in AFTER},
    }
    TURN = {
        "planned": "district dispatcher", "ready": "district grid", "spot": "district grid",
        "signed": "district", "found": "district", "concluded": "dispatcher",
        "published": "dispatcher",
    }  # fmt: skip
    PEOPLE = (
        "dispatcher", "district", "district1b", "grid", "district2", "department", "enterprise",
        "auditor", "leader",
    )  # fmt: skip
    LOOSE = frozenset({"answers", "finish"})
    FORMS = {
        "change_team": {"text": "调休"}, "reschedule": {"day": "2026-12-01", "text": "降雪"},
        "cancel": {"text": "停产"},
        "problems": {"text": "标志牌缺失"}, "hand_over": {"to": "order", "text": "标志牌缺失"},
        "sign": {"digest": "0" * 64, "problems": "0"},
    }  # fmt: skip

    def begin(self, data: st.DataObject) -> tuple[Any, Any]:
        city = cities.build()
        person(city, "district1b", like="district")
        self.codes = {}
        for i, name in enumerate(POOL):
            self.codes[name] = f"ZF{i}"
            Inspector.objects.create(code=f"ZF{i}", user=city.people[name], certificate=f"示例{i}")
        self.team: set[str] = set()
        self.choice = ["district", "grid"]
        self.problem = data.draw(st.booleans(), label="there is a problem")
        self.begun, self.answered, self.finisher = False, False, ""
        case = services.plan_inspection(city.dispatcher, city.enterprises[0], OPENING, now=self.now)
        return city, case

    def named(self, word: str) -> set[str]:
        groups = {
            "inspectors": {"district", "district1b", "grid"},
            "district": {"district", "district1b"},
            "finisher": {self.finisher} if self.finisher else set(),
        }
        return groups.get(word, {word})

    def possible(self, who: str, act: str) -> bool:
        if act in ("set_team", "change_team"):
            return len(set(self.choice)) >= 2 and "district2" not in self.choice
        if act in ("start", "answers", "finish") and self.state in ("ready", "spot"):
            return who in self.team and (act != "finish" or self.answered)
        if act == "sign":
            return False
        return act != "none" or not self.problem

    def form(self, act: str) -> dict[str, Any]:
        return {**self.FORMS.get(act, {}), "team": [self.codes[name] for name in self.choice]}

    def do(self, who: str, act: str, version: int) -> None:
        user = self.city.people[who]
        self.case.refresh_from_db()
        if act == "answers":
            said = answers(self.case)
            if self.problem:
                said[0] |= {"value": "no", "note": "已拍照"}
            services.keep_answers(user, self.case.pk, said, now=self.now)
        elif act == "finish":
            team = Inspector.objects.filter(code__in=self.case.detail.get("team", []))
            services.finish(user, self.case.pk, signed(self.case, team), now=self.now)
        else:
            super().do(who, act, version)

    def did(self, who: str, act: str) -> None:
        if act in ("set_team", "change_team"):
            self.team = set(self.choice)
        elif act == "answers":  # the first one begins it
            self.events -= self.begun
            self.version += not self.begun
            self.answered = True
        elif act == "finish":
            self.events -= bool(self.finisher)
            self.version += not self.finisher
            self.finisher = who
        self.begun = self.state == "spot"

    @rule(choice=st.lists(st.sampled_from(POOL), min_size=1, max_size=3))
    def another_team_is_thought_of(self, choice: list[str]) -> None:
        self.choice = choice

    @invariant()
    def the_record_says_what_was_found(self) -> None:
        self.case.refresh_from_db()
        record = Record.objects.filter(case=self.case).first()
        assert bool(record) == bool(self.finisher) == bool(self.case.issued)
        if record:
            assert self.case.detail["record"] == record.sha256
            assert self.case.detail["problems"] == int(self.problem)
            assert list(checks.check()) == []


@pytest.mark.django_db
def test_flow_keeps_to_the_specification(data):
    drive(Inspection, runs=10, steps=18)
