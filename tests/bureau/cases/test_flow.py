"""Every act over all states and roles, and flows that contradict themselves."""

from __future__ import annotations

from dataclasses import replace

import pytest
from django.db import transaction

from bureau.cases.city import DOCUMENT, FORMS, NOW, bring, files_for, finding, open_case
from jingwei.bureau.access import Role
from jingwei.bureau.cases import checks, services
from jingwei.bureau.cases.errors import Invalid, Refused
from jingwei.bureau.cases.flow import Flow, FlowError, Limit, State, Transition
from jingwei.bureau.cases.flows import FLOWS
from jingwei.bureau.cases.flows.order import ORDER
from jingwei.bureau.cases.models import Case, CaseEvent
from jingwei.bureau.findings.models import Finding


class _Undo(Exception):  # noqa: N818
    pass


def attempt(user, case, transition):
    """Whether the act comes about; it is undone in either case."""
    try:
        with transaction.atomic():
            services.act(
                user,
                case.pk,
                transition,
                case.version,
                FORMS[transition],
                files_for(transition),
                now=NOW,
            )
            raise _Undo
    except _Undo:
        return True
    except Invalid as error:
        raise AssertionError(error.form.errors) from error
    except (Refused, Case.DoesNotExist):
        return False


# Acts that need another one before them.
NEEDS = {
    "resume": ("pause",),
    "list": ("propose",),
    "decline": ("propose",),
    "lift": ("propose", "list"),
    "unpublish": ("publish",),
}
BY = {"list": "leader"}


@pytest.mark.django_db
@pytest.mark.parametrize("state", [s.name for s in ORDER.states])
def test_allowed_and_not_allowed(city, state):
    """In each state each role can do what the table gives it, and nothing else."""
    case = bring(city, open_case(city), state)
    could = {
        (role, step.name)
        for role in Role.values
        for step in ORDER.transitions
        if attempt(city.people[role], case, step.name)
    }
    table = {
        (role, step.name)
        for role in Role.values
        for step in ORDER.transitions
        if state in step.sources and role in step.roles and step.name not in NEEDS
    }
    # Enterprise and departments do not know of a draft, so they cannot comment on one.
    if not ORDER.state(state).issued:
        table = {
            (role, name) for role, name in table if role not in (Role.ENTERPRISE, Role.DEPARTMENT)
        }
    assert could == table
    assert list(checks.check()) == []


@pytest.mark.django_db
@pytest.mark.parametrize("state", [s.name for s in ORDER.states])
def test_nobody_acts_outside_of_the_jurisdiction(city, state):
    case = bring(city, open_case(city), state)
    for name in ("district2", "grid2", "enterprise2"):
        for step in ORDER.transitions:
            assert not attempt(city.people[name], case, step.name), (name, step.name)


@pytest.mark.django_db
def test_a_superuser_has_no_part_in_the_flow(city):
    from jingwei.bureau.accounts.models import User

    root = User.objects.create(username="root", is_superuser=True)
    case = bring(city, open_case(city), "answered")
    assert not [s.name for s in ORDER.transitions if attempt(root, case, s.name)]
    with pytest.raises(Refused):
        services.open_case(root, [finding(city, 2)], DOCUMENT, now=NOW)


@pytest.mark.django_db
def test_who_rectified_does_not_verify(city):
    """Also not the same person in another role."""
    case = bring(city, open_case(city), "answered")
    person = city.enterprise
    person.role, person.department = Role.GRID, city.grid.department
    person.save()
    assert not attempt(person, case, "verify")
    assert not attempt(person, case, "reject")
    assert attempt(city.grid, case, "verify")


def test_roles_of_rectification_and_verification_are_apart():
    answer = ORDER.transition("answer").roles
    for name in ("verify", "reject", "accept", "send_back", "close"):
        assert not answer & ORDER.transition(name).roles


@pytest.mark.django_db
def test_open_takes_the_findings_and_withdraw_gives_them_back(city):
    row = finding(city)
    case = services.open_case(city.dispatcher, [row], DOCUMENT, now=NOW)
    row.refresh_from_db()
    assert row.state == Finding.State.IN_CASE
    with pytest.raises(Refused):
        services.open_case(city.dispatcher, [row], DOCUMENT, now=NOW)
    assert Case.objects.count() == 1
    bring(city, case, "withdrawn")
    row.refresh_from_db()
    assert row.state == Finding.State.NEW
    assert case.number is None
    services.open_case(city.dispatcher, [row], DOCUMENT, now=NOW)


@pytest.mark.django_db
def test_open_wants_one_enterprise_and_its_district(city):
    one, other = finding(city, 1, 0), finding(city, 2, 1)
    nobody = finding(city, 3, kind="bare_land", enterprise=None, point=None)
    for rows in ([], [one, other], [nobody], [one, nobody]):
        with pytest.raises(Refused):
            services.open_case(city.dispatcher, rows, DOCUMENT, now=NOW)
    city.districts[0].jurisdictions.all().delete()
    with pytest.raises(Refused, match="110108"):
        services.open_case(city.dispatcher, [one], DOCUMENT, now=NOW)
    one.refresh_from_db()
    assert one.state == Finding.State.NEW
    assert not CaseEvent.objects.exists()


@pytest.mark.django_db
def test_transfer_moves_the_case_to_the_other_district(city):
    case = bring(city, open_case(city), "rectifying")
    services.act(city.district, case.pk, "transfer", case.version, FORMS["transfer"], now=NOW)
    case.refresh_from_db()
    assert (case.state, case.region_id, case.department) == ("issued", "110105", city.districts[1])
    assert not attempt(city.district, case, "comment")
    assert attempt(city.district2, case, "sign")
    assert list(checks.check()) == []
    with pytest.raises(Invalid):  # to the district where it is already
        services.act(city.dispatcher, case.pk, "transfer", case.version, FORMS["transfer"], now=NOW)


@pytest.mark.django_db
@pytest.mark.parametrize("transition", [t.name for t in ORDER.transitions])
def test_required_fields_are_required(city, transition):
    step = ORDER.transition(transition)
    case = bring(city, open_case(city), step.sources[0])
    for name in NEEDS.get(transition, ()):
        who = city.people[BY.get(name, "dispatcher")]
        services.act(who, case.pk, name, case.version, FORMS[name], now=NOW)
        case.refresh_from_db()
    user = next(u for name, u in city.people.items() if name in Role.values and name in step.roles)
    for field in step.fields:
        data = {k: v for k, v in FORMS[transition].items() if k != field.name}
        files = {k: v for k, v in files_for(transition).items() if k != field.name}
        if field.required:
            with pytest.raises(Invalid) as caught:
                services.act(user, case.pk, transition, case.version, data, files, now=NOW)
            assert set(caught.value.form.errors) == {field.name}
    case.refresh_from_db()
    assert case.state == step.sources[0]


# --- flows that contradict themselves ---------------------------------------------------------

CITY = frozenset({Role.DISPATCHER})
OPEN = Transition("open", "open", (), "a", CITY)
GO = Transition("go", "go", ("a",), "b", CITY)
STATES = (State("a", "a", Role.DISPATCHER), State("b", "b"))


def flow(**changes):
    parts = {
        "name": "f",
        "label": "f",
        "states": STATES,
        "opening": OPEN,
        "transitions": (GO,),
    }
    return Flow(**{**parts, **changes})


def test_a_sound_flow_is_accepted():
    assert flow().allowed("a", Role.DISPATCHER) == [GO]
    assert flow().allowed("a", Role.GRID) == []
    assert flow().allowed("b", Role.DISPATCHER) == []


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"states": (*STATES, STATES[0])}, "twice"),
        ({"transitions": (GO, GO)}, "twice"),
        ({"transitions": (GO, replace(GO, name="open"))}, "twice"),
        ({"transitions": (GO, replace(GO, name="escalate"))}, "kernel"),
        ({"opening": replace(OPEN, target="z")}, "opening"),
        ({"opening": replace(OPEN, sources=("a",))}, "opening"),
        ({"transitions": (replace(GO, target="z"),)}, "unknown"),
        ({"transitions": (replace(GO, sources=("z",)),)}, "unknown"),
        ({"transitions": (GO, replace(GO, name="x", roles=frozenset()))}, "nobody"),
        ({"transitions": (GO, replace(GO, name="x", sources=()))}, "nobody"),
        ({"transitions": (GO, replace(GO, name="x", sources=("b",)))}, "final"),
        ({"states": (*STATES, State("c", "c"))}, "nothing leads"),
        ({"transitions": (replace(GO, roles=frozenset({Role.GRID})),)}, "waited for"),
        (
            {
                "transitions": (
                    GO,
                    replace(GO, name="c", roles=frozenset(), clock=True, locks=False),
                )
            },
            "counts as a version",
        ),
    ],
)
def test_a_flow_that_contradicts_itself_is_refused(changes, why):
    with pytest.raises(FlowError, match=why):
        flow(**changes)


@pytest.mark.parametrize("values", [{}, {"days": 1, "hours": 1}, {"days": -1}, {"hours": 0}])
def test_a_limit_is_days_or_hours(values):
    with pytest.raises(FlowError):
        Limit(**values)


def test_every_flow_is_registered_under_its_name():
    assert all(name == flow.name for name, flow in FLOWS.items())
