"""A machine drives the flow of handling against a specification written apart from it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import transaction
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from bureau.cases.city import HANDLING, NOW, build, files_for, handle
from jingwei.bureau.cases import checks, selectors, services, tasks
from jingwei.bureau.cases.errors import Refused
from jingwei.bureau.cases.models import Case

# (state, act) → (who, state after). "lead": people of the department that has the case; "joint":
# these and its parties. What depends on how often it was passed on stands in `expected`.
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
PASSING = ("refuse", "give_back", "dispute", "transfer", "coordinate")
ACTS = sorted({act for _state, act in SPECIFICATION})
PEOPLE = ["dispatcher", "district", "district2", "grid", "grid2", "department", "auditor", "leader"]
MAIN = ["dispatch", "sign", "found", "rectified", "verify", "close"]


class Handling(RuleBasedStateMachine):
    """One case of one district; two districts and a department to be passed around among."""

    def __init__(self) -> None:
        super().__init__()
        self.undo = transaction.atomic()
        self.undo.__enter__()
        self.state, self.lead, self.parties, self.now = "triage", "", set(), NOW
        self.senders: list[str] = []
        self.settled, self.looks = False, 0

    @initialize()
    def opened(self) -> None:
        self.city = build()
        self.case = handle(self.city)
        self.desk = {
            "district": self.city.districts[0],
            "district2": self.city.districts[1],
            "department": self.city.department.department,
            "dispatcher": self.city.centre,
        }
        self.lead = "dispatcher"
        self.led = False

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.undo.__exit__(None, None, None)

    def expected(self, who: str, act: str) -> str | None:
        found = SPECIFICATION.get((self.state, act))
        if found is None:
            return None
        roles, after = found
        passed = len(self.senders)
        if act in PASSING and (
            self.settled
            or (act == "refuse" and passed)
            or (act == "give_back" and not 0 < passed < 2)
            or (act == "transfer" and passed >= 2)
            or (act in ("dispute", "coordinate") and passed < 2)
        ):
            return None
        wanted = set(roles.split())
        if wanted & {"lead", "joint"} and who == self.lead:
            return after
        if "joint" in wanted and who in self.parties:
            return after
        return after if who in wanted else None

    @rule(
        who=st.sampled_from(PEOPLE),
        act=st.sampled_from(ACTS),
        to=st.sampled_from(["district", "district2", "department"]),
    )
    def acts(self, who: str, act: str, to: str) -> None:
        data = {**HANDLING[act], "department": self.desk[to].pk, "departments": [self.desk[to].pk]}
        after = self.expected(who, act)
        if act in ("transfer", "coordinate", "join") and to == self.lead:
            after = None  # not to itself
        self.case.refresh_from_db()
        try:
            services.act(
                self.city.people[who], self.case.pk, act, self.case.version, data,
                files_for(act), now=self.now,
            )  # fmt: skip
        except (Refused, Case.DoesNotExist):
            assert after is None, (who, act)
            return
        assert after is not None, (who, act)
        self.state = after
        if act in ("dispatch", "assign"):
            self.lead, self.led = to, True
        elif act == "refuse":
            self.lead = "dispatcher"
        elif act == "transfer":
            self.senders.append(self.lead)
            self.lead = to
        elif act == "give_back":
            sender = self.senders[-1]
            self.senders.append(self.lead)
            self.lead = sender
        elif act in ("dispute", "coordinate"):
            self.senders.append(self.lead)
        elif act == "join":
            self.parties = {to}
        elif act == "reopen" and not self.led:
            self.lead, self.led = "district", True
        self.settled = self.settled or act == "assign"
        self.looks = 0 if act == "close" else self.looks + (act in ("held", "overrule"))

    @rule()
    def goes_on(self) -> None:
        """The next step of the main way, so that runs get far."""
        for act in MAIN:
            found = SPECIFICATION.get((self.state, act))
            if found:
                who = self.lead if found[0] == "lead" else found[0]
                self.acts(who=who, act=act, to="district")
                return

    @rule()
    def time_passes(self) -> None:
        """The clock wakes a closed case three times, and no more."""
        self.now += timedelta(days=100)
        tasks.tick(self.now)
        if self.state == "closed" and self.looks < 3:
            self.state = "looking_back"

    @invariant()
    def row_events_and_proof_agree(self) -> None:
        self.case.refresh_from_db()
        assert self.case.state == self.state
        assert self.case.department == self.desk[self.lead]
        assert len(self.case.detail.get("moves", [])) == len(self.senders)
        assert list(checks.replay(self.case)) == []

    @invariant()
    def it_waits_for_whoever_can_go_on(self) -> None:
        if self.state in ("closed", "dismissed"):
            return
        who = {r for (s, _a), (r, _t) in SPECIFICATION.items() if s == self.state}
        lead = any("lead" in r for r in who)
        owner = self.lead if lead else "grid" if "grid" in who else "dispatcher"
        assert selectors.waiting_for(self.city.people[owner]).filter(pk=self.case.pk).exists()


@pytest.mark.django_db
def test_flow_keeps_to_the_specification():
    run_state_machine_as_test(
        Handling, settings=settings(max_examples=15, stateful_step_count=30, deadline=None)
    )
