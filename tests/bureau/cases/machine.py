"""What every machine that drives a flow against its specification has in common.

A subclass names SPECIFICATION, PEOPLE and TURN, begins a case, and says what depends on more than
the state; everything else (anybody trying anything, anything possible being done, forms from an
older version, the replay of the events, whose turn it is) happens here.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from django.db import transaction
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from bureau.cases.city import NOW, photo
from jingwei.bureau.access import Role
from jingwei.bureau.cases import checks, clock, selectors, services
from jingwei.bureau.cases.errors import Gone, Refused, Stale
from jingwei.bureau.cases.flow import ESCALATE
from jingwei.bureau.cases.handover import hand_over
from jingwei.bureau.cases.models import Case


class Machine(RuleBasedStateMachine):
    """One case, acted on by anybody with anything; undone when it ends."""

    # (state, act) → (words for those who may, state after); a word stands for a set of people.
    SPECIFICATION: ClassVar[Mapping[tuple[str, str], tuple[str, str]]]
    PEOPLE: ClassVar[Sequence[str]]
    TURN: ClassVar[Mapping[str, str]]  # state → words for those whom it waits for
    FORMS: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    PHOTOS: ClassVar[frozenset[str]] = frozenset()  # acts that want a photo
    LOOSE: ClassVar[frozenset[str]] = frozenset({"comment"})  # acts that lock nothing
    HANDS: ClassVar[Sequence[tuple[str, str]]] = ()  # who hands over to whom of the same role

    def __init__(self) -> None:
        super().__init__()
        self.undo = transaction.atomic()
        self.undo.__enter__()
        self.now, self.events, self.version = NOW, 1, 1
        self.looked_at: tuple[Any, ...] = ()
        self.holder = ""

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.undo.__exit__(None, None, None)

    @initialize(data=st.data())
    def opened(self, data: st.DataObject) -> None:
        self.city, self.case = self.begin(data)
        self.state = self.case.state

    # --- for subclasses --------------------------------------------------------------------------

    @abstractmethod
    def begin(self, data: st.DataObject) -> tuple[Any, Case]:
        """The city, and the case that has just been opened in it."""

    def named(self, word: str) -> set[str]:
        """The people that a word of the specification stands for."""
        return {word}

    def possible(self, who: str, act: str) -> bool:
        """What depends on more than the state."""
        return True

    def form(self, act: str) -> Mapping[str, Any]:
        return self.FORMS.get(act, {})

    def files(self, act: str) -> Mapping[str, Any]:
        return {"photos": [photo()]} if act in self.PHOTOS else {}

    def do(self, who: str, act: str, version: int) -> None:
        services.act(
            self.city.people[who], self.case.pk, act, version, self.form(act),
            self.files(act), now=self.now,
        )  # fmt: skip

    def did(self, who: str, act: str) -> None:
        """Take note of an act that was done."""

    def wait(self) -> bool:
        """Let time go by where only that can help; False where it never does."""
        return False

    def turn(self) -> str:
        """Words for those whom it waits for."""
        return self.TURN.get(self.state, "")

    def place(self) -> tuple[str, str]:
        """District and department that have the case."""
        return "", ""

    def goes(self, before: tuple[str, str], after: tuple[str, str]) -> None:
        """Who held it in a place holds it no longer in another: a grid officer in a district, an
        officer of a department in this one."""
        role = self.role(self.holder) if self.holder else Role.DISPATCHER
        same = before[0] == after[0] if role == Role.GRID else before == after
        if role not in (Role.DISPATCHER, Role.LEADER) and not same:
            self.holder = ""

    def may_hold(self, who: str) -> bool:
        """Whether a case that waits here for such people can be handed over to this one."""
        return True

    # --- what happens ----------------------------------------------------------------------------

    def all_named(self, words: str) -> set[str]:
        return set().union(*(self.named(word) for word in words.split()))

    def role(self, who: str) -> str:
        return str(self.city.people[who].role)

    def held(self, people: set[str]) -> set[str]:
        """Of these people those who can act: of a holder's role the holder alone."""
        if not self.holder:
            return people
        role = self.role(self.holder)
        others = {who for who in people if self.role(who) != role}
        return others if others == people else {*others, self.holder}

    def expected(self, who: str, act: str) -> str | None:
        """The state after, None where it must be refused."""
        words, after = self.SPECIFICATION.get((self.state, act), ("", ""))
        if who not in self.held(self.all_named(words)) or not self.possible(who, act):
            return None
        return after

    def tries(self, who: str, act: str, behind: int = 0) -> None:
        after = self.expected(who, act)
        stale = behind and act not in self.LOOSE
        try:
            self.do(who, act, self.version - behind)
        except Gone:
            assert behind, (who, act, self.state)
            assert after is None, (who, act, self.state)
        except Stale:
            assert stale, (who, act, self.state)
        except (Refused, Case.DoesNotExist):
            assert after is None, (who, act, self.state)
        else:
            assert after is not None, (who, act, self.state)
            assert not stale, (who, act, self.state)
            self.state = after
            self.events += 1
            self.version += act not in self.LOOSE
            before = self.place()
            self.did(who, act)
            self.goes(before, self.place())

    @rule(data=st.data(), behind=st.sampled_from([0, 0, 0, 1]))
    def anybody_tries_anything(self, data: st.DataObject, behind: int) -> None:
        everywhere = sorted({act for _state, act in self.SPECIFICATION})
        here = [act for state, act in self.SPECIFICATION if state == self.state] or everywhere
        act = data.draw(st.sampled_from(here) | st.sampled_from(everywhere))
        self.tries(data.draw(st.sampled_from(self.PEOPLE)), act, behind)

    @rule(data=st.data())
    def something_possible_is_done(self, data: st.DataObject) -> None:
        found = sorted(
            (who, act)
            for state, act in self.SPECIFICATION
            for who in self.PEOPLE
            if state == self.state and self.expected(who, act) is not None
        )
        if found:
            self.tries(*data.draw(st.sampled_from(found)))

    @rule(data=st.data())
    def one_of_those_named_tries(self, data: st.DataObject) -> None:
        """Where only a guard can stand against it, it does."""
        found = sorted(
            (who, act)
            for (state, act), (words, _after) in self.SPECIFICATION.items()
            for who in self.all_named(words) & set(self.PEOPLE)
            if state == self.state and self.expected(who, act) is None
        )
        if found:
            self.tries(*data.draw(st.sampled_from(found)))

    @precondition(lambda self: self.HANDS)
    @rule(data=st.data())
    def somebody_hands_it_over(self, data: st.DataObject) -> None:
        """What waits for one is given to another: from there on it waits for this one alone."""
        waiting = sorted(h for h in self.HANDS if h[0] in self.held(self.all_named(self.turn())))
        if self.case.escalated and not waiting:
            return  # superiors have it too
        one, other = data.draw(st.sampled_from(waiting or sorted(self.HANDS)))
        people = self.city.people
        try:
            hand_over(people[one], people[one], people[other], [self.case.pk], "调离岗位", self.now)
        except Refused:
            assert not waiting or not self.may_hold(other), (one, other, self.state)
        else:
            assert waiting, (one, other, self.state)
            assert self.may_hold(other), (one, other, self.state)
            self.holder = other
            self.events += 1
            self.version += 1

    @rule()
    def it_goes_on(self) -> None:
        """The first act that leads on, so that runs get far."""
        for (state, act), (_words, after) in self.SPECIFICATION.items():
            if state == self.state != after and self.somebody(act):
                self.tries(self.somebody(act), act)
                return

    @rule(data=st.data())
    def somebody_means_to(self, data: st.DataObject) -> None:
        """One act of the whole specification is aimed at, from wherever the case stands: the
        nearest way to its state, then what may have to come before it there."""
        state, act = data.draw(st.sampled_from(sorted(self.SPECIFICATION)))
        before: set[str] = set()
        for _ in range(25):
            here = self.state == state
            step = act if here and self.somebody(act) else "" if here else self.towards(state)
            if here and not step:
                step = next((a for a in self.beside() if a not in before), "")
                before.add(step)
            if step:
                self.tries(self.somebody(step), step)
            elif not self.wait():
                return
            if here and step == act:
                return

    def somebody(self, act: str) -> str:
        """Who may do it now; empty where nobody may."""
        return next((w for w in self.PEOPLE if self.expected(w, act) is not None), "")

    def beside(self) -> list[str]:
        """The acts that are possible now and leave the case where it is."""
        return [
            act
            for (state, act), (_words, after) in self.SPECIFICATION.items()
            if state == after == self.state and act not in self.LOOSE and self.somebody(act)
        ]

    def towards(self, goal: str) -> str:
        """The first act, possible now, of a shortest way to a state; empty where there is none."""
        first = {
            after: act
            for (state, act), (_words, after) in reversed(self.SPECIFICATION.items())
            if state == self.state != after and self.somebody(act)
        }
        reached = dict(first)
        while first and goal not in reached:
            first = {
                after: first[state]
                for (state, _act), (_words, after) in self.SPECIFICATION.items()
                if state in first and after not in reached
            }
            reached |= first
        return reached.get(goal, "")

    @invariant()
    def row_events_and_proof_agree(self) -> None:
        self.case.refresh_from_db()
        assert (self.case.state, self.case.version) == (self.state, self.version)
        assert self.case.events.exclude(transition=ESCALATE).count() == self.events
        assert list(checks.replay(self.case)) == []

    @invariant()
    def a_delay_is_known_as_long_as_it_stands(self) -> None:
        """However it came about, and wherever the case has been meanwhile."""
        self.case.refresh_from_db()
        if self.case.escalate_at and self.case.escalate_at <= self.now:
            clock.escalate(self.case.pk, self.now)
            self.case.refresh_from_db()
        late = self.case.next_due is not None and self.case.next_due <= self.now
        assert bool(self.case.escalated) == late, self.state

    @invariant()
    def it_waits_for_exactly_these(self) -> None:
        """And, where it is late, for their superiors."""
        self.case.refresh_from_db()
        if self.looked_at == (now := (self.state, self.version, self.case.escalated)):
            return
        self.looked_at = now
        waiting = {
            name
            for name in self.PEOPLE
            if selectors.waiting_for(self.city.people[name]).filter(pk=self.case.pk).exists()
        }
        turn = self.held(self.all_named(self.turn()))
        if self.case.escalated:
            assert turn <= waiting, self.state
            city = {who for who in self.PEOPLE if self.role(who) == Role.DISPATCHER}
            assert self.case.escalated < 2 or self.held(city) <= waiting, self.state
        else:
            assert waiting == turn, self.state


def drive(machine: type[RuleBasedStateMachine], *, runs: int, steps: int) -> None:
    run_state_machine_as_test(
        machine, settings=settings(max_examples=runs, stateful_step_count=steps, deadline=None)
    )


def person(city: Any, name: str, like: str) -> None:
    """Another one of the role and department of somebody."""
    from jingwei.bureau.accounts.models import User

    model = city.people[like]
    city.people[name] = User.objects.create(
        username=name, role=model.role, department=model.department, first_name=name
    )
