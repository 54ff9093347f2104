"""A machine drives the flow against a specification that was written down apart from it."""

from __future__ import annotations

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

from bureau.cases.city import DOCUMENT, FORMS, NOW, build, files_for, finding
from jingwei.bureau.cases import checks, selectors, services
from jingwei.bureau.cases.errors import Refused, Stale
from jingwei.bureau.cases.models import Case

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
    "grid",
    "department",
    "enterprise",
    "auditor",
    "leader",
    "district2",
    "grid2",
    "enterprise2",
]


class Order(RuleBasedStateMachine):
    """One case, acted on by anybody with anything; two districts to be transferred between."""

    def __init__(self) -> None:
        super().__init__()
        self.undo = transaction.atomic()
        self.undo.__enter__()
        self.state, self.home, self.events, self.version = "draft", 0, 1, 1
        self.paused = self.public = self.asked = self.listed = False

    @initialize()
    def opened(self) -> None:
        self.city = build()
        self.case = services.open_case(
            self.city.dispatcher, [finding(self.city)], DOCUMENT, now=NOW
        )

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.undo.__exit__(None, None, None)

    def expected(self, who: str, act: str) -> str | None:
        found = SPECIFICATION.get((self.state, act))
        if found is None or who == "auditor":
            return None
        roles, after = found
        possible = {
            "pause": not self.paused,
            "resume": self.paused,
            "publish": not self.public,
            "unpublish": self.public,
            "propose": not self.asked and not self.listed,
            "list": self.asked,
            "decline": self.asked,
            "lift": self.listed,
            "close": not self.listed,
        }
        if not possible.get(act, True):
            return None
        role = who.removesuffix("2")
        if role not in roles.split():
            return None
        if role in ("district", "grid") and who.endswith("2") != (self.home == 1):
            return None  # the other district's people
        if who == "enterprise2" or (who == "department" and self.home == 1):
            return None  # another enterprise; the department has one district only
        return after

    @rule(
        who=st.sampled_from(PEOPLE),
        act=st.sampled_from(sorted({act for _state, act in SPECIFICATION})),
        behind=st.sampled_from([0, 0, 0, 0, 1]),
    )
    def acts(self, who: str, act: str, behind: int) -> None:
        after = self.expected(who, act)
        stale = behind and act != "comment"
        data = dict(FORMS[act])
        if act == "transfer":
            data["region"] = self.city.regions[1 - self.home].pk
        try:
            services.act(
                self.city.people[who],
                self.case.pk,
                act,
                self.version - behind,
                data,
                files_for(act),
                now=NOW,
            )
        except Stale:
            assert stale
        except (Refused, Case.DoesNotExist):
            assert after is None
        else:
            assert after is not None
            assert not stale
            self.state = after
            self.events += 1
            self.version += act != "comment"
            self.home = 1 - self.home if act == "transfer" else self.home
            self.paused = act == "pause" or (self.paused and act != "resume")
            self.public = act == "publish" or (self.public and act != "unpublish")
            self.asked = act == "propose" or (self.asked and act not in ("list", "decline"))
            self.listed = act == "list" or (self.listed and act != "lift")

    @rule()
    def plays_on(self) -> None:
        """Whose turn it is does the first thing that leads on, so that runs get far."""
        who = TURN.get(self.state)
        if who is None:
            return
        act = next(a for (s, a), (w, t) in SPECIFICATION.items() if s == self.state and t != s)
        if act == "close" and self.listed:
            self.acts(who="leader", act="lift", behind=0)
        self.acts(
            who=who + ("2" if self.home and who in ("district", "grid") else ""), act=act, behind=0
        )

    @invariant()
    def row_events_and_proof_agree(self) -> None:
        self.case.refresh_from_db()
        assert (self.case.state, self.case.version) == (self.state, self.version)
        assert self.case.events.count() == self.events
        assert list(checks.replay(self.case)) == []

    @invariant()
    def it_waits_for_exactly_one_party(self) -> None:
        waiting = {
            name
            for name, user in self.city.people.items()
            if selectors.waiting_for(user).filter(pk=self.case.pk).exists()
        }
        who = TURN.get(self.state)
        second = "2" if self.home and who in ("district", "grid") else ""
        asked = {"leader"} if self.asked and who else set()
        assert waiting == ({who + second} if who else set()) | asked


@pytest.mark.django_db
def test_flow_keeps_to_the_specification():
    run_state_machine_as_test(
        Order, settings=settings(max_examples=12, stateful_step_count=25, deadline=None)
    )
