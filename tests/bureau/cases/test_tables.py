"""For every registered flow, generated from its data: who may and who may not, in every state."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bureau.cases.city import NOW
from jingwei.bureau.access import Role
from jingwei.bureau.cases import selectors, services
from jingwei.bureau.cases.errors import Invalid, Refused
from jingwei.bureau.cases.flows import FLOWS
from jingwei.bureau.cases.models import Case

pytestmark = pytest.mark.django_db

STATES = [(flow.name, state.name) for flow in FLOWS.values() for state in flow.states]


def place(city, flow, state):
    """A case of the flow in this state, led by the first district, as if it had got there."""
    return Case.objects.create(
        flow=flow,
        state=state,
        title="x",
        opened=NOW,
        issued=NOW,
        level_since=NOW,
        enterprise=city.enterprises[0],
        region=city.regions[0],
        department=city.districts[0],
    )


@pytest.mark.parametrize(("flow", "state"), STATES)
def test_allowed_and_not_allowed(city, flow, state):
    """Guards aside, a role can do what the table gives it in this state; all else is refused by
    the kernel before it looks at the form. People of the lead and others are told apart."""
    rules = FLOWS[flow]
    case = place(city, flow, state)
    lead = case.department_id
    for role in Role.values:
        user = city.people[role]
        for department in {lead, city.department.department_id, user.department_id}:
            if role not in ("dispatcher", "leader", "enterprise"):
                user.department_id = department
            for step in rules.transitions:
                allowed = state in step.sources and role in step.roles
                if step.only and role not in ("dispatcher", "leader"):
                    allowed = allowed and user.department_id == lead
                told = services.refusal(user, case, replace(step, guard=None))
                assert (told is None) == allowed, (role, step.name, told)
    user = None
    for role in Role.values:
        for step in rules.transitions:
            if state in step.sources and role in step.roles:
                continue
            with pytest.raises((Refused, Case.DoesNotExist)) as caught:
                services.act(city.people[role], case.pk, step.name, case.version, {}, now=NOW)
            assert not isinstance(caught.value, Invalid), (role, step.name)
    case.refresh_from_db()
    assert (case.state, case.version, case.events.count()) == (state, 1, 0)


@pytest.mark.parametrize(("flow", "state"), STATES)
def test_whoever_is_waited_for_finds_it_in_the_queue(city, flow, state):
    case = place(city, flow, state)
    at = FLOWS[flow].state(state)
    for name, user in city.people.items():
        waiting = selectors.waiting_for(user).filter(pk=case.pk).exists()
        wanted = (
            user.role in at.roles
            and selectors.cases(user, "case.act").filter(pk=case.pk).exists()
            and (not at.lead or user.department_id == case.department_id)
        )
        assert waiting == wanted, name


@pytest.mark.parametrize("flow", FLOWS)
def test_every_waiting_state_has_a_clock_or_the_deadline_of_the_case(flow):
    """Nothing can be forgotten: a queue without anybody in it rises too."""
    for state in FLOWS[flow].states:
        clock = state.limit or state.business or FLOWS[flow].alarm(state.name)
        assert state.final or clock, state.name
    assert FLOWS[flow].escalation
