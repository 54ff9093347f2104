"""What a flow is: data. States, transitions, who may do what, which form, which limit.

A flow is written once, in one file of `flows/`; the kernel in `services` runs every flow alike,
and the tests and `docs/flows/` are generated from the same data. A transition's `effect` returns
what changes on the case as a dictionary; the kernel writes it to the event and to the case, so
that the case's row is nothing but the fold of its events (`checks` proves it).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.utils import translation
from django.utils.functional import Promise
from django.utils.translation import gettext_noop

from jingwei.bureau.access import Role

if TYPE_CHECKING:
    from jingwei.bureau.accounts.models import User
    from jingwei.bureau.cases.models import Case

Text = str | Promise

ESCALATE = "escalate"  # what the clock does; every flow has it, nobody may call it
ESCALATION_LABEL = gettext_noop("Escalated")


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


@dataclass(frozen=True, slots=True)
class Field:
    """One thing that a form asks. `kind`: text, line, days, choice, files, photos, position.

    The field named "text" is the act's reason or report: it stands in the timeline.
    """

    name: str
    label: Text
    kind: str = "text"
    required: bool = True
    help: Text = ""
    choices: Callable[[Case | None], list[tuple[str, Text]]] | None = None
    initial: Callable[[Case | None], Any] | None = None


@dataclass(frozen=True, slots=True)
class State:
    """A state, the role that must act in it, and the clock of that role.

    `limit` is the level clock: it starts when the case comes into the state. `business` says that
    the case's own deadline runs here; it never starts anew.
    """

    name: str
    label: Text
    waits_for: Role | None = None
    limit: Limit | None = None
    business: bool = False
    issued: bool = True  # parties outside the bureau may know of the case
    colour: str = "watch"  # of the design system: normal, watch, abnormal, offline

    @property
    def final(self) -> bool:
        return self.waits_for is None


Effect = Callable[["Case", Mapping[str, Any], datetime], dict[str, Any]]
Guard = Callable[["Case", "User"], "Text | None"]


@dataclass(frozen=True, slots=True)
class Transition:
    """Who may do what in which state, and what it does.

    `target` None leaves the state as it is. `guard` answers why this user may not do it in this
    case, None where nothing stands against it. `locks` False is for acts that disturb nobody
    (a comment): they do not count as a version. `internal` acts are shown to the bureau alone.
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

    def target_from(self, source: str) -> str:
        return self.target or source


@dataclass(frozen=True, slots=True)
class Flow:
    """A flow: checked when it is made, so that a wrong one cannot be imported."""

    name: str
    label: Text
    states: tuple[State, ...]
    opening: Transition
    transitions: tuple[Transition, ...]
    # (level, after): each level is told that long after the clock ran out; None: at once.
    escalation: tuple[tuple[int, Limit | None], ...] = ()
    _states: dict[str, State] = field(init=False, repr=False)
    _transitions: dict[str, Transition] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        states = {s.name: s for s in self.states}
        steps = {t.name: t for t in (self.opening, *self.transitions)}
        object.__setattr__(self, "_states", states)
        object.__setattr__(self, "_transitions", steps)
        if len(states) != len(self.states) or len(steps) != len(self.transitions) + 1:
            raise FlowError(f"{self.name}: a name is given twice")
        if ESCALATE in steps:
            raise FlowError(f"{self.name}: {ESCALATE!r} belongs to the clock")
        if self.opening.sources or self.opening.target not in states:
            raise FlowError(f"{self.name}: the opening comes from nowhere and leads to a state")
        reached = {self.opening.target}
        for step in self.transitions:
            unknown = {*step.sources, step.target or step.sources[0]} - set(states)
            if unknown:
                raise FlowError(f"{self.name}.{step.name}: unknown states {sorted(unknown)}")
            if not step.roles or not step.sources:
                raise FlowError(f"{self.name}.{step.name}: nobody can ever do it")
            final = [s for s in step.sources if states[s].final]
            if final:
                raise FlowError(f"{self.name}.{step.name}: leaves the final state {final[0]}")
            reached.add(step.target or step.sources[0])
        for state in self.states:
            if state.name not in reached:
                raise FlowError(f"{self.name}: nothing leads to {state.name}")
            if not state.final and not any(
                state.name in t.sources
                and t.target not in (None, state.name)
                and state.waits_for in t.roles
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

    def label_of(self, transition: str) -> Text:
        if transition == ESCALATE:
            return translation.gettext(ESCALATION_LABEL)
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
                f"| `{s.name}` | {s.label} | {s.waits_for.label if s.waits_for else '(final)'}"
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
            roles = ", ".join(str(r.label) for r in Role if r in t.roles)
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
