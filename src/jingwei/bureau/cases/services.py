"""What is done to cases: opened, acted on, noted; how they are written stands in `writing`, what the
clock does in `clock`.

Each act is one transaction: the rules, the case's new row (`UPDATE … WHERE version = ?`), the
event, its files, and the event's entry in the evidence log stand or fall together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.datastructures import MultiValueDict
from django.utils.translation import gettext as _

from jingwei.bureau import once
from jingwei.bureau.access import Role, may
from jingwei.bureau.accounts.models import User
from jingwei.bureau.cases import search, selectors
from jingwei.bureau.cases.clock import escalate_locked, with_clocks
from jingwei.bureau.cases.errors import Gone, Invalid, Refused, Stale, Unknown
from jingwei.bureau.cases.flow import Flow, Transition
from jingwei.bureau.cases.flows import FLOWS
from jingwei.bureau.cases.forms import TransitionForm
from jingwei.bureau.cases.models import CITY, Case, CaseEvent
from jingwei.bureau.cases.writing import (
    append,
    apply,
    last_act,
    meanwhile,
    merged,
    save,
    under_lock,
)
from jingwei.bureau.findings import files as filing
from jingwei.bureau.findings.models import Finding, Kind
from jingwei.bureau.findings.services import Refused as FindingRefused
from jingwei.bureau.findings.services import take
from jingwei.bureau.prepared import Prepared, insert
from jingwei.bureau.registry.models import Enterprise, Region
from jingwei.bureau.rows import beyond
from jingwei.standards.matters import kinds

PLACE = {"department_id", "region_id", "party_ids", "holder_id", "matter"}  # who sees a case


# Asked in every act.
_by_key: Prepared[CaseEvent] = Prepared(
    lambda key: CaseEvent.objects.filter(key=key).select_related("case")
)


# --- acts -------------------------------------------------------------------------------------


def open_case(
    user: User,
    findings: Iterable[Finding] = (),
    data: Mapping[str, Any] | None = None,
    *,
    flow: str = "order",
    enterprise: Enterprise | None = None,
    region: Region | str | None = None,
    parent: Case | None = None,
    files: Mapping[str, Any] | None = None,
    token: str = "",
    now: datetime | None = None,
    opening: Mapping[str, Any] | None = None,
) -> Case:
    """Open a case; `data` and `files` are the values of the flow's opening form.

    Findings must be open and in the user's jurisdiction; they are taken into the case, and with
    them come enterprise and region where these are not given. A `parent`, which the user must be
    allowed to see, gives what is still missing, its findings too. `opening` are further changes that the caller's
    room knows (`detail`, `matter`, `department_id`, …). The case goes to the district centre of
    its region where neither the opening's effect nor `opening` names a department. `token` makes
    the act happen once: the same user and token again return the same case. Raises `Refused`,
    `Invalid`.
    """
    now = now or timezone.now()
    rules = FLOWS[flow]
    step = rules.opening
    form = TransitionForm(step, None, data or {}, _multi(files))
    key = once.key(user, token)
    try:
        with filing.cleared_away() as written, transaction.atomic():
            if not may(user, rules.action) or user.role not in step.roles:
                raise Refused(_("Your role may not open a case."))
            done = _done(key)
            if done:
                return done.case
            chosen = _chosen(user, findings)
            about = chosen or (list(parent.findings.order_by("pk")) if parent else [])
            if not about and rules.needs_findings:
                raise Refused(_("Choose at least one finding that you may judge."))
            other = next((f for f in about if rules.kinds and f.kind not in rules.kinds), None)
            if other is not None:
                raise Refused(_not_of(rules, other))
            if (
                parent is not None
                and not Case.objects.restrict(user, "case.view").filter(pk=parent.pk).exists()
            ):
                raise Refused(_("The case from which this one comes is not in your jurisdiction."))
            if not form.is_valid():
                raise Invalid(form)
            begin = _begin(about, enterprise, region, parent, rules.needs_enterprise)
            case = Case(flow=flow)
            changes = {"state": step.target, "opened": now, **begin, **(opening or {})}
            apply(case, changes)
            changes = merged(changes, _effect(step, case, form, now))
            if "department_id" not in changes:
                changes["department_id"] = selectors.district_of(changes["region_id"]).pk
            changes |= with_clocks(case, changes, now)
            case.derive()
            insert(case)
            case.save_parties()
            search.store(case, new=True)
            case.findings.add(*about)
            take(chosen)  # those of the parent are taken already
            append(
                case,
                step.name,
                source="",
                user=user,
                now=now,
                form=form,
                data={"findings": [f.pk for f in about]},
                changes=changes,
                internal=step.internal,
                key=key,
                written=written,
            )
            return case
    except (FindingRefused, IntegrityError) as error:
        done = _done(key)  # the same form sent twice at once: the other one was faster
        if done:
            return done.case
        if isinstance(error, FindingRefused):
            raise Refused(str(error)) from None
        raise


def act(
    user: User,
    case_id: int,
    transition: str,
    version: int,
    data: Mapping[str, Any] | None = None,
    files: Mapping[str, Any] | None = None,
    *,
    token: str = "",
    now: datetime | None = None,
) -> CaseEvent:
    """Do a transition; the event that stands for it.

    `version` is the version the user saw: where the case has a newer one, nothing happens and
    `Stale` says who did what meanwhile, `Gone` where that took the case away. The same user and `token` again return the same event.
    `files` are uploads by field name. Raises `Case.DoesNotExist` (also for a case that this user
    may not see), `Refused`, `Stale`, `Invalid` with the bound form.
    """
    now = now or timezone.now()
    with filing.cleared_away() as written, transaction.atomic():
        # From here to the end nobody else can act on this case: on PostgreSQL by the row's lock,
        # on SQLite because a writing transaction is alone.
        key = once.key(user, token)
        case = under_lock.first(case_id)
        if case is None or not selectors.reaches(user, case):
            return _lost(user, case_id, version, key)
        done = _done(key)
        if done:
            return done
        step = case.rules.transition(transition)
        if step is None or step is case.rules.opening or step.clock:
            raise Unknown(_("There is no such act."))
        if step.locks and case.version != version:
            raise Stale(meanwhile(case))
        reason = refusal(user, case, step)
        if reason:
            raise Refused(reason)
        form = TransitionForm(step, case, data or {}, _multi(files))
        if not form.is_valid():
            raise Invalid(form)
        absent = Case.objects.absent(user, case.pk)
        if case.escalate_at and case.escalate_at <= now:
            escalate_locked(
                case, now
            )  # a delay that no tick has seen yet does not go with this act
        source, target, before = case.state, step.target_from(case.state), case.escalated
        changes = _effect(step, case, form, now)
        if target != source:
            changes["state"] = target
        changes |= with_clocks(case, changes, now)
        if step.locks:
            save(case, version, changes)
        return append(
            case,
            step.name,
            source=source,
            user=user,
            now=now,
            form=form,
            data={"instead_of": absent.pk} if absent else None,
            changes=changes,
            internal=step.internal,
            key=key,
            written=written,
            risen=range(before + 1, case.escalated + 1),
        )


def _lost(user: User, case_id: int, version: int, key: str | None) -> CaseEvent:
    """Of a case that the user does not reach: the event, where this very act took it away and was
    sent twice; `Gone`, where the user had it when the form was shown; else it does not exist."""
    with beyond():
        done = _done(key)
        if done:
            return done
        case = Case.objects.filter(pk=case_id, version__gt=version).first()
        if case and user.role != Role.ENTERPRISE and _had(user, case):
            raise Gone(
                _(
                    "Done since this page was opened: %(who)s, “%(act)s”, %(time)s."
                    " The case is not in your jurisdiction any more."
                )
                % last_act(case)
            )
    raise Case.DoesNotExist


def _had(user: User, case: Case) -> bool:
    """Whether the case was the user's before the last act that said whose it is."""
    told = [
        c for c in case.events.order_by("seq").values_list("changes", flat=True) if PLACE & set(c)
    ]
    before: dict[str, Any] = {}
    for changes in told[:-1]:
        before |= changes
    offices = {before.get("department_id"), *before.get("party_ids", ())}
    if offices & user.department_ids() or before.get("holder_id") == user.pk:
        return True
    where, matter = before.get("region_id"), before.get("matter", "")
    return any(
        area in ("", where) and (not about or matter in kinds(about))
        for person in user.acts_for()
        for area, about in person.places()
    )


def refusal(user: User, case: Case, step: Transition) -> str | None:
    """Why this user may not do this in this case now; None where nothing stands against it."""
    if user.role not in step.roles:
        return _("Your role may not do this.")
    if case.state not in step.sources:
        return _("The case is now “%(state)s”: “%(act)s” is not possible any more.") % {
            "state": case.state_label,
            "act": step.label,
        }
    if handed_over(case, user):
        return _("This case was handed over to %s.") % case.holder
    involved = _involved(case, step)
    if step.only and user.role not in CITY and not user.department_ids() & involved:
        return _("Only the responsible department may do this.")
    guarded = step.guard(case, user) if step.guard else None
    return str(guarded) if guarded else None


def handed_over(case: Case, user: User) -> bool:
    """Whether another person of the user's role holds the case."""
    if case.holder is None or case.holder.role != user.role or not case.holder.is_active:
        return False
    return case.holder not in user.acts_for()


def _involved(case: Case, step: Transition) -> set[int]:
    return {case.department_id, *(case.party_ids if step.only == "joint" else ())}


def note(
    case: Case,
    what: str,
    data: Mapping[str, Any],
    *,
    user: User | None = None,
    form: TransitionForm | None = None,
    written: list[str] | None = None,
    key: str | None = None,
    now: datetime | None = None,
) -> CaseEvent:
    """Write down one of `flow.NOTES` in the caller's transaction: it changes nothing of the case.

    `form` is valid and brings text and files; `written` is that of `files.cleared_away`; `key` is
    that of the event.
    """
    locked = under_lock.first(case.pk)
    assert locked is not None  # a case is never deleted
    return append(
        locked,
        what,
        source=locked.state,
        user=user,
        now=now or timezone.now(),
        form=form,
        data=data,
        changes={},
        internal=True,
        key=key,
        written=written,
    )


def opened(user: User, token: str) -> Case | None:
    """The case that this user opened by this token; None where there is none."""
    done = _done(once.key(user, token))
    return done.case if done else None


# --- parts -----------------------------------------------------------------------------------


def _chosen(user: User, findings: Iterable[Finding]) -> list[Finding]:
    wanted = {f.pk for f in findings}
    chosen = list(
        Finding.objects.restrict(user, "finding.judge")
        .filter(pk__in=wanted)
        .select_related("enterprise")
        .order_by("pk")
    )
    if len(chosen) != len(wanted):
        raise Refused(_("Choose at least one finding that you may judge."))
    return chosen


def _not_of(rules: Flow, finding: Finding) -> str:
    kinds = [str(Kind(k).label) for k in Kind.values if k in rules.kinds]
    return _(
        "“%(flow)s” is opened only from findings of these kinds: %(kinds)s. “%(title)s” is none of"
        " them (%(kind)s): open another kind of case for it."
    ) % {
        "flow": rules.label,
        "kinds": _(", ").join(kinds),
        "title": finding.title,
        "kind": finding.get_kind_display(),
    }


def _begin(
    about: list[Finding],
    enterprise: Enterprise | None,
    region: Region | str | None,
    parent: Case | None,
    needs_enterprise: bool,
) -> dict[str, Any]:
    """Enterprise, region, matter and parent of a new case."""
    found = {f.enterprise_id for f in about}
    if needs_enterprise and about and None in found and parent is None:
        raise Refused(_("A finding without an enterprise cannot go into a supervision order."))
    if len(found - {None}) > 1:
        raise Refused(_("The findings belong to different enterprises: open one case for each."))
    if enterprise is None:
        named = (*about, parent) if parent else about
        enterprise = next((f.enterprise for f in named if f.enterprise), None)
    if enterprise is None and needs_enterprise:
        raise Refused(_("Say which enterprise the case is about."))
    place = region.pk if isinstance(region, Region) else region
    for source in (enterprise, *about, parent):
        place = place or (source.region_id if source else None)
    if not place:
        raise Refused(_("Say in which district it is."))
    return {
        "enterprise_id": enterprise.pk if enterprise else None,
        "region_id": place,
        "matter": about[0].kind if about else parent.matter if parent else "",
        "parent_id": parent.pk if parent else None,
    }


def _done(key: str | None) -> CaseEvent | None:
    return _by_key.first(key) if key else None


def _multi(files: Mapping[str, Any] | None) -> MultiValueDict:
    if isinstance(files, MultiValueDict):
        return files
    return MultiValueDict(
        {k: list(v) if isinstance(v, list | tuple) else [v] for k, v in (files or {}).items()}
    )


def _effect(step: Transition, case: Case, form: TransitionForm, now: datetime) -> dict[str, Any]:
    return dict(step.effect(case, form.said, now)) if step.effect else {}
