"""What a flow is: data. States, transitions, who may do what, which form, which limit.

A flow is written once, in one file, and registered (`flows.register`) in the `ready()` of the room
that owns it; the kernel (`services`, `clock`, `writing`) runs every flow alike,
and the tests and `docs/flows/` are generated from the same data. A transition's `effect` returns
what changes on the case as a dictionary; the kernel writes it to the event and to the case, so
that the case's row is nothing but the fold of its events (`checks` proves it).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.db.models import Q
from django.utils import translation
from django.utils.functional import Promise
from django.utils.translation import gettext_noop

from jingwei.bureau.access import Role

if TYPE_CHECKING:
    from django import forms

    from jingwei.bureau.accounts.models import User
    from jingwei.bureau.cases.models import Case, CaseEvent
    from jingwei.bureau.findings.models import Finding

Text = str | Promise

HAND_OVER = "new_holder"  # every flow has it: what a person held goes to another
ESCALATE = "escalate"  # what the clock does; every flow has it, nobody may call it
ESCALATION_LABEL = gettext_noop("Escalated")
HAND_OVER_LABEL = gettext_noop("Handed over")
# What an authority outside the city is told of a case and says to it: every flow has it, it changes
# nothing, and the bureau alone reads it (`services.note`).
SHARED, UNSHARED, ANSWERED = "neighbour_shared", "neighbour_unshared", "neighbour_answered"
NOTES = {
    SHARED: gettext_noop("Shared with another authority"),
    UNSHARED: gettext_noop("Sharing ended"),
    ANSWERED: gettext_noop("Answer of another authority"),
}


class FlowError(ValueError):
    """A flow contradicts itself; raised when it is written down, not when it runs."""


@dataclass(frozen=True, slots=True)
class Limit:
    """How long: working days (the day after the start counts as the first) or working hours."""

    days: int = 0
    hours: int = 0

    def __post_init__(self) -> None:
        if (self.days > 0) == (self.hours > 0):
            raise FlowError("a limit is a number of working days or of working hours")

    def __str__(self) -> str:
        return f"{self.days} working days" if self.days else f"{self.hours} working hours"


KINDS = frozenset({
    "text", "line", "days", "number", "date", "bool", "choice", "choices", "department",
    "departments", "person", "files", "photos", "position",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Field:
    """One thing that a form asks. `kind` is one of `KINDS`, or a function that makes a form field.

    `number` is a Decimal within `least` and `most`; `choices` are several of a list, `departments`
    several departments. A department or person is given by its primary key; without `choices`
    every department, or every person of the case's department, is offered. The field named "text"
    is the act's reason or report: it stands in the timeline. A case is None when one is opened.
    """

    name: str
    label: Text
    kind: str | Callable[[Field, Any], forms.Field] = "text"
    required: bool = True
    help: Text = ""
    choices: Callable[[Any], list[tuple[Any, Text]]] | None = None
    initial: Callable[[Any], Any] | None = None
    least: float | None = None
    most: float | None = None

    def __post_init__(self) -> None:
        if isinstance(self.kind, str) and self.kind not in KINDS:
            raise FlowError(f"field {self.name}: unknown kind {self.kind!r}")


@dataclass(frozen=True, slots=True)
class State:
    """A state, the roles that must act in it, and their clock.

    `limit` is the level clock: it starts when the case comes into the state. `business` says that
    the case's own deadline runs here; it never starts anew. `lead`: of these roles only the
    people of the case's department are waited for, not everybody with the jurisdiction.
    """

    name: str
    label: Text
    waits_for: Role | tuple[Role, ...] | None = None
    limit: Limit | None = None
    business: bool = False
    issued: bool = True  # parties outside the bureau may know of the case
    colour: str = "watch"  # of the design system: normal, watch, abnormal, offline
    lead: bool = False

    @property
    def roles(self) -> tuple[Role, ...]:
        if self.waits_for is None:
            return ()
        return (self.waits_for,) if isinstance(self.waits_for, Role) else self.waits_for

    @property
    def final(self) -> bool:
        return not self.roles

    @property
    def waits_label(self) -> str:
        return " / ".join(str(role.label) for role in self.roles)


# A flow is of cases; a room may write down the course of something else as one (`campaigns.course`).
Effect = Callable[[Any, Mapping[str, Any], datetime], dict[str, Any]]
Guard = Callable[[Any, "User"], "Text | None"]


@dataclass(frozen=True, slots=True)
class Transition:
    """Who may do what in which state, and what it does.

    `target` None leaves the state as it is. `guard` answers why this user may not do it in this
    case, None where nothing stands against it. `locks` False is for acts that disturb nobody
    (a comment): they do not count as a version. `internal` acts are shown to the bureau alone.

    `only` narrows the roles outside the city centre: "lead" to people of the case's department,
    "joint" to these and the people of its parties. `reopens` acts may leave a final state.
    `clock` acts have no roles: `tick` does them when the case's `wake_at` has come; they lock, as
    they change what the forms were made of. `tells` are
    roles that hear of such an act besides those for whom the case waits. `asked` says in which
    cases a joint act is still asked of a party that has not done it.
    """

    name: str
    label: Text
    sources: tuple[str, ...]
    target: str | None
    roles: frozenset[Role]
    fields: tuple[Field, ...] = ()
    guard: Guard | None = None
    effect: Effect | None = None
    locks: bool = True
    internal: bool = False
    tone: str = ""  # "primary", "danger" or ""
    help: Text = ""
    only: str = ""
    reopens: bool = False
    clock: bool = False
    tells: frozenset[Role] = frozenset()
    asked: Q | None = None

    def target_from(self, source: str) -> str:
        return self.target or source


@dataclass(frozen=True, slots=True)
class Flow:
    """A flow: checked when it is made, so that a wrong one cannot be imported.

    `action` of `bureau.access` is what opening a case needs besides the role of the opening;
    `needs_findings` and `needs_enterprise` say what a case of this flow cannot be without, `kinds`
    of which kinds its findings must be (empty: of any).
    `known_to` are the roles outside the bureau that see a case once it is issued. `draft` gives
    the opening form its first words. `from_flows` are the flows on whose cases' pages one of this
    flow is offered, with that case as its parent, where `follows` does not say no. `panel` is a template that the case's page shows above the
    forms, with what `panel_context` answers; `documents` are (URL name, label) of pages to print,
    whose URLs take the case's number, or a function of case and user that answers them. `tell`
    tells people of an event what the flow alone knows that they want to hear; who is told by the
    key of `telling.key_of` does not hear of it in general words, too.
    """

    name: str
    label: Text
    states: tuple[State, ...]
    opening: Transition
    transitions: tuple[Transition, ...]
    # (level, after): each level is told that long after the clock ran out; None: at once.
    escalation: tuple[tuple[int, Limit | None], ...] = ()
    action: str = "case.open"
    needs_findings: bool = False
    needs_enterprise: bool = False
    kinds: frozenset[str] = frozenset()
    known_to: frozenset[Role] = frozenset({Role.ENTERPRISE, Role.DEPARTMENT})
    draft: Callable[[Sequence[Finding]], dict[str, Any]] | None = None
    # For the statistics: the acts that pass a case on ("transfers"), send it back ("returns"), and
    # report that it is rectified ("reported").
    counts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    task: Text = ""  # what the page calls the case's text; else "What is to be done"
    submit: Text = ""  # the button of the opening form; else the opening's label
    from_flows: frozenset[str] = frozenset()
    follows: Callable[[Case], bool] | None = None
    panel: str = ""
    panel_context: Callable[[Case, User], dict[str, Any]] | None = None
    documents: (
        tuple[tuple[str, Text], ...] | Callable[[Case, User], Iterable[tuple[str, Text]]]
    ) = ()
    tell: Callable[[CaseEvent, Case], None] | None = None
    _states: dict[str, State] = field(init=False, repr=False)
    _transitions: dict[str, Transition] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        states = {s.name: s for s in self.states}
        steps = {t.name: t for t in (self.opening, *self.transitions)}
        object.__setattr__(self, "_states", states)
        object.__setattr__(self, "_transitions", steps)
        if len(states) != len(self.states) or len(steps) != len(self.transitions) + 1:
            raise FlowError(f"{self.name}: a name is given twice")
        unknown = {act for acts in self.counts.values() for act in acts} - set(steps)
        if unknown:
            raise FlowError(f"{self.name}: counts unknown acts {sorted(unknown)}")
        for kept in {ESCALATE, HAND_OVER, *NOTES} & set(steps):
            raise FlowError(f"{self.name}: {kept!r} belongs to the kernel")
        if self.opening.sources or self.opening.target not in states:
            raise FlowError(f"{self.name}: the opening comes from nowhere and leads to a state")
        reached = {self.opening.target}
        for step in self.transitions:
            unknown = {*step.sources, step.target or step.sources[0]} - set(states)
            if unknown:
                raise FlowError(f"{self.name}.{step.name}: unknown states {sorted(unknown)}")
            if bool(step.roles) == step.clock or not step.sources:
                raise FlowError(f"{self.name}.{step.name}: nobody can ever do it")
            if step.clock and not step.locks:
                raise FlowError(f"{self.name}.{step.name}: what the clock does counts as a version")
            final = [s for s in step.sources if states[s].final]
            if final and not (step.reopens or step.clock or step.target is None):
                raise FlowError(f"{self.name}.{step.name}: leaves the final state {final[0]}")
            reached.add(step.target or step.sources[0])
        for state in self.states:
            if state.name not in reached:
                raise FlowError(f"{self.name}: nothing leads to {state.name}")
            if not state.final and not any(
                state.name in t.sources
                and t.target not in (None, state.name)
                and set(state.roles) & t.roles
                for t in self.transitions
            ):
                raise FlowError(f"{self.name}: who is waited for cannot leave {state.name}")

    def state(self, name: str) -> State:
        return self._states[name]

    def transition(self, name: str) -> Transition | None:
        return self._transitions.get(name)

    def allowed(self, state: str, role: str) -> list[Transition]:
        """The transitions that the table gives this role in this state, in the table's order."""
        return [t for t in self.transitions if state in t.sources and role in t.roles]

    def alarm(self, state: str) -> Transition | None:
        """What the clock does in this state when the case's time to wake has come."""
        return next((t for t in self.transitions if t.clock and state in t.sources), None)

    def papers(self, case: Case, user: User) -> list[tuple[str, Text]]:
        """(URL name, label) of the documents of a case."""
        return list(self.documents(case, user) if callable(self.documents) else self.documents)

    def label_of(self, transition: str) -> Text:
        if transition == ESCALATE:
            return translation.gettext(ESCALATION_LABEL)
        if transition == HAND_OVER:
            return translation.gettext(HAND_OVER_LABEL)
        if transition in NOTES:
            return translation.gettext(NOTES[transition])
        step = self.transition(transition)
        return step.label if step else transition

    # --- documentation ---------------------------------------------------------------------

    def markdown(self) -> str:
        """The page of `docs/flows/`: a Mermaid diagram and the tables, in English."""
        with translation.override("en"):
            return "\n".join(self._page()) + "\n"

    def _page(self) -> list[str]:
        lines = [
            f"# {self.label}",
            "",
            "Generated from the code by `tests/bureau/cases/test_docs.py`; do not edit.",
            "",
            "```mermaid",
            "stateDiagram-v2",
            *(f'    state "{s.label}" as {s.name}' for s in self.states),
            f"    [*] --> {self.opening.target}: {self.opening.label}",
        ]
        for step in self.transitions:
            lines += [
                # Mermaid ends a label at its first colon.
                f"    {s} --> {step.target}: {str(step.label).replace(':', ',')}"
                for s in step.sources
                if step.target
            ]
        lines += [f"    {s.name} --> [*]" for s in self.states if s.final]
        lines += [
            "```",
            "",
            "## States",
            "",
            "| state | label | waits for | level clock | business clock runs | known outside |",
            "|---|---|---|---|---|---|",
        ]
        for s in self.states:
            lines.append(
                f"| `{s.name}` | {s.label} | {s.waits_label or '(final)'}{' of the case’s department' if s.lead else ''}"
                f" | {s.limit or ''} | {'yes' if s.business else ''}"
                f" | {'yes' if s.issued else ''} |"
            )
        lines += [
            "",
            "## Transitions",
            "",
            "| transition | label | from | to | who | form | shown to the enterprise | counts as a version |",
            "|---|---|---|---|---|---|---|---|",
        ]
        for t in (self.opening, *self.transitions):
            form = ", ".join(f"{f.label}{'*' if f.required else ''}" for f in t.fields)
            roles = ", ".join(str(r.label) for r in Role if r in t.roles) or "the clock"
            if t.only:
                roles += " (of the lead)" if t.only == "lead" else " (of the lead or a party)"
            lines.append(
                f"| `{t.name}` | {t.label} | {', '.join(t.sources)} | {t.target or '(same)'}"
                f" | {roles} | {form} | {'' if t.internal else 'yes'}"
                f" | {'yes' if t.locks else ''} |"
            )
        lines += ["", "\\* required", "", "## Escalation", ""]
        for level, after in self.escalation:
            lines.append(
                f"- level {level}: {f'{after} after' if after else 'as soon as'} a clock ran out"
            )
        return lines
