"""A machine drives the flow against a specification that was written down apart from it."""

from __future__ import annotations

from datetime import date, timedelta

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

from bureau.penalties import office
from bureau.penalties.office import FORMS, NOW, files_for
from jingwei.bureau.cases import checks as case_checks
from jingwei.bureau.cases import selectors, services
from jingwei.bureau.cases.errors import Refused, Stale
from jingwei.bureau.cases.models import Case
from jingwei.bureau.penalties import acts, checks

BUREAU = "dispatcher district leader"
RUNNING = (
    "investigating", "reviewing", "noticing", "notified", "hearing", "rechecking", "deciding",
)  # fmt: skip
# (state, act) -> (roles, state after), as the law and issue 4 tell it.
SPECIFICATION = {
    ("filing", "approve"): ("leader", "investigating"),
    ("filing", "reject"): ("leader", "rejected"),
    ("investigating", "propose"): ("district", "reviewing"),
    ("investigating", "evidence"): ("district", "investigating"),
    ("investigating", "reclassify"): ("district", "investigating"),
    ("investigating", "propose_none"): ("district", "reviewing"),
    ("investigating", "propose_crime"): ("district", "reviewing"),
    ("reviewing", "pass"): ("dispatcher", "noticing"),
    ("reviewing", "pass_other"): ("dispatcher", "deciding"),
    ("reviewing", "back"): ("dispatcher", "investigating"),
    ("noticing", "notify"): ("district", "notified"),
    ("notified", "speak"): ("enterprise", "rechecking"),
    ("notified", "ask_hearing"): ("enterprise", "hearing"),
    ("notified", "waive"): ("enterprise", "deciding"),
    ("notified", "lapse"): ("district", "deciding"),
    ("hearing", "announce"): ("dispatcher", "hearing"),
    ("hearing", "hold"): ("dispatcher", "rechecking"),
    ("hearing", "absent"): ("dispatcher", "deciding"),
    ("hearing", "withdraw"): ("enterprise", "deciding"),
    ("rechecking", "recheck"): ("dispatcher", "deciding"),
    ("rechecking", "reopen"): ("dispatcher", "investigating"),
    ("deciding", "decide"): ("leader", "decided"),
    ("deciding", "decide_none"): ("leader", "no_penalty"),
    ("deciding", "decide_crime"): ("leader", "transferred"),
    ("deciding", "return"): ("leader", "investigating"),
    ("decided", "serve"): ("district", "served"),
    ("served", "pay"): ("district", "paid"),
    ("served", "pay_part"): ("district", "served"),
    ("served", "defer"): ("leader", "served"),
    ("served", "urge"): ("district", "served"),
    ("served", "enforce"): ("leader", "enforcing"),
    ("enforcing", "pay"): ("district", "paid"),
    ("enforcing", "pay_part"): ("district", "enforcing"),
    ("paid", "close"): ("district", "closed"),
    **{(s, "publish"): ("dispatcher district", s) for s in ("decided", "served", "enforcing", "paid")},
    **{(s, "revoke"): ("leader", "revoked") for s in ("decided", "served", "enforcing")},
    **{(s, "contest"): ("district", s) for s in ("decided", "served", "enforcing")},
    **{(s, "contest_end"): ("district", s) for s in ("decided", "served", "enforcing")},
    **{
        (s, "comment"): (BUREAU, s)
        for s in ("filing", *RUNNING, "decided", "served", "enforcing", "paid")
    },
}  # fmt: skip
INVESTIGATES = {"evidence", "reclassify", "propose", "propose_none", "propose_crime"}
TURN = {
    "filing": {"leader", "leader2"},
    "investigating": {"district", "district1b"},
    "reviewing": {"dispatcher", "reviewer"},
    "noticing": {"district", "district1b"},
    "notified": {"enterprise", "district", "district1b"},
    "hearing": {"dispatcher", "reviewer"},
    "rechecking": {"dispatcher", "reviewer"},
    "deciding": {"leader", "leader2"},
    "decided": {"district", "district1b"},
    "served": {"enterprise", "district", "district1b"},
    "enforcing": {"district", "district1b"},
    "paid": {"district", "district1b"},
}
PEOPLE = (
    "dispatcher", "reviewer", "district", "district1b", "leader", "leader2", "enterprise",
    "enterprise2", "district2", "grid", "department", "auditor",
)  # fmt: skip
ROLES = {"reviewer": "dispatcher", "district1b": "district", "leader2": "leader"}
FIRST = (
    "approve", "propose", "pass", "notify", "ask_hearing", "speak", "announce", "hold", "recheck",
    "decide", "serve", "publish", "pay", "close",
)  # fmt: skip


class Penalty(RuleBasedStateMachine):
    """One penalty, acted on by anybody with anything, while days go by."""

    def __init__(self) -> None:
        super().__init__()
        self.undo = transaction.atomic()
        self.undo.__enter__()
        self.state, self.kind, self.issued, self.events, self.version = "filing", "", False, 1, 1
        self.now = NOW
        self.marks: set[str] = set()  # announced, published, contested
        self.looked_at = ""

    @initialize(filer=st.sampled_from(["district", "dispatcher"]))
    def opened(self, filer: str) -> None:
        self.city = office.build()
        self.case = services.open_case(
            self.city.people[filer], (), office.OPEN, flow="penalty",
            parent=office.order(self.city), now=NOW,
        )  # fmt: skip
        self.investigators = {filer}
        self.reviewers: set[str] = set()

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.undo.__exit__(None, None, None)

    def expected(self, who: str, act: str) -> str | None:
        """The state after, None where it must be refused. Times are left to the day rule."""
        found = SPECIFICATION.get((self.state, act))
        if found is None or who in ("enterprise2", "district2", "grid", "department", "auditor"):
            return None
        roles, after = found
        role = ROLES.get(who, who)
        if role not in roles.split():
            return None
        if role == "enterprise" and not self.issued:
            return None
        reviews = {"pass", "pass_other", "back", "announce", "hold", "absent", "recheck", "reopen"}
        decides = {"decide", "decide_none", "decide_crime", "return"}
        if act in reviews | decides and who in self.investigators:
            return None
        if act in decides and who in self.reviewers:
            return None
        fine = self.kind == "fine"
        wrong = {
            "pass": not fine, "pass_other": fine, "decide": not fine,
            "decide_none": self.kind != "none", "decide_crime": self.kind != "crime",
            "hold": "announced" not in self.marks, "absent": "announced" not in self.marks,
            "publish": "published" in self.marks, "close": "published" not in self.marks,
            "contest": "contested" in self.marks, "contest_end": "contested" not in self.marks,
        }  # fmt: skip
        return None if wrong.get(act) else after

    def in_time(self, act: str) -> bool:
        """Whether the day suits the act; the tests of the flow look at each bound."""
        self.case.refresh_from_db()
        detail, today = self.case.detail, self.now.date().isoformat()
        late = detail.get("notice") and self.now.isoformat() > detail["notice"]["until"]
        if act in ("speak", "ask_hearing"):
            return not late
        if act == "lapse":
            return bool(late)
        if act in ("hold", "absent"):
            return today >= detail["hearing"]["on"]
        if act == "pay_part":
            return acts.owed(self.case, self.now.date())["rest"] > 1000
        if act == "urge":
            return today > detail["payment"]["due"]
        if act == "enforce":
            urged = detail.get("urged")
            return bool(urged) and self.now.isoformat() > urged["until"]
        return True

    def form(self, act: str) -> dict[str, object]:
        """The form of an act, with days and sums as they would be given today."""
        today = self.now.date()
        changes: dict[str, object] = {}
        match act:
            case "announce":
                changes = {"on": today + timedelta(days=14)}
            case "serve":
                changes = {"received": today}
            case "pay" if "payment" in self.case.detail:
                changes = {"on": today, "amount": acts.owed(self.case, today)["rest"]}
            case "pay_part":
                changes = {"on": today, "amount": "1000"}
            case "defer" if "payment" in self.case.detail:
                due = date.fromisoformat(self.case.detail["payment"]["due"])
                changes = {"until": max(due, today) + timedelta(days=30)}
            case "contest":
                changes = {"since": today}
            case "contest_end":
                changes = {"until": today}
        return {**FORMS[act], **{name: str(value) for name, value in changes.items()}}

    @rule(
        who=st.sampled_from(PEOPLE),
        act=st.sampled_from(sorted({act for _state, act in SPECIFICATION} | {"refer"})),
        behind=st.sampled_from([0, 0, 0, 0, 0, 1]),
    )
    def tries(self, who: str, act: str, behind: int) -> None:
        after = self.expected(who, act)
        stale = behind and act != "comment"
        suits = after is None or stale or self.in_time(act)
        try:
            services.act(
                self.city.people[who], self.case.pk, act, self.version - behind, self.form(act),
                files_for(act), now=self.now,
            )  # fmt: skip
        except Stale:
            assert stale
        except (Refused, Case.DoesNotExist):
            assert after is None or not suits or self.excused(act), (who, act, self.state)
        else:
            assert after is not None, (who, act, self.state)
            assert suits, (act, self.now)
            self.did(who, act, after)

    def excused(self, act: str) -> bool:
        """A contest stops the court."""
        return act == "enforce" and "contested" in self.marks

    def did(self, who: str, act: str, after: str) -> None:
        self.state = after
        self.events += 1
        self.version += act != "comment"
        if act in INVESTIGATES:
            self.investigators.add(who)
        if act in ("pass", "pass_other", "recheck", "hold"):
            self.reviewers.add(who)
        self.kind = {
            "propose": "fine", "propose_none": "none", "propose_crime": "crime", "reclassify": "",
        }.get(act, self.kind)  # fmt: skip
        if act == "notify":
            self.marks.discard("announced")
        self.issued = self.issued or act in ("notify", "decide_none")
        mark = {"announce": "announced", "publish": "published", "contest": "contested"}.get(act)
        if mark:
            self.marks.add(mark)
        if act == "contest_end":
            self.marks.discard("contested")

    @rule(days=st.sampled_from([1, 1, 3, 8]))
    def days_go_by(self, days: int) -> None:
        self.now += timedelta(days=days)

    @rule(until=st.sampled_from(sorted(TURN)), hearing=st.booleans())
    def plays_on(self, until: str, hearing: bool) -> None:
        """Everybody does the plain next thing until the case is there; days go by where nothing
        can be done."""
        way = [a for a in FIRST if hearing or a != "ask_hearing"]
        for _ in range(len(FIRST)):
            if self.state == until:
                return
            act = next((a for a in way if self.somebody(a)), None)
            if act is None:
                self.now += timedelta(days=8)
            else:
                self.tries(who=self.somebody(act), act=act, behind=0)

    @rule(data=st.data())
    def does_something_possible(self, data: st.DataObject) -> None:
        """Any act that somebody may do now."""
        possible = sorted(
            {a for s, a in SPECIFICATION if s == self.state and a != "comment" and self.somebody(a)}
        )
        if possible:
            act = data.draw(st.sampled_from(possible))
            self.tries(who=self.somebody(act), act=act, behind=0)

    def somebody(self, act: str) -> str:
        """Who may do it now, "" where nobody may or the day does not suit."""
        if act in self.done_here:
            return ""
        for who in ("leader", "leader2", "district", "dispatcher", "reviewer", "enterprise"):
            if self.expected(who, act) is not None and self.in_time(act):
                return who
        return ""

    @property
    def done_here(self) -> set[str]:
        return {"announce"} if "announced" in self.marks else set()

    @invariant()
    def row_events_and_proof_agree(self) -> None:
        self.case.refresh_from_db()
        assert (self.case.state, self.case.version) == (self.state, self.version)
        assert self.case.events.count() == self.events
        assert [*case_checks.replay(self.case), *checks.check()] == []

    @invariant()
    def three_people_stand_behind_a_decision(self) -> None:
        if self.case.detail.get("decision"):
            by = {
                name: set(
                    self.case.events.filter(transition__in=acts).values_list("actor_id", flat=True)
                )
                for name, acts in (
                    ("investigated", ("open", *INVESTIGATES)),
                    ("reviewed", ("pass", "recheck", "hold")),
                    ("decided", ("decide",)),
                )
            }
            assert by["reviewed"]
            assert not by["investigated"] & by["reviewed"]
            assert not by["decided"] & (by["investigated"] | by["reviewed"])

    @invariant()
    def it_waits_for_exactly_these(self) -> None:
        if self.state == self.looked_at:
            return
        self.looked_at = self.state
        waiting = {
            name
            for name in PEOPLE
            if selectors.waiting_for(self.city.people[name]).filter(pk=self.case.pk).exists()
        }
        assert waiting == TURN.get(self.state, set()), self.state


@pytest.mark.django_db
def test_flow_keeps_to_the_specification(data):
    run_state_machine_as_test(
        Penalty, settings=settings(max_examples=25, stateful_step_count=12, deadline=None)
    )
