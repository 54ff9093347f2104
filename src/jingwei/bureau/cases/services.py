"""The kernel: opens cases, acts on them, lets the clock act. Everything that writes a case.

Each act is one transaction: the rules, the case's new row (`UPDATE … WHERE version = ?`), the
event, its files, and the event's entry in the evidence log stand or fall together.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Any

from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from django.utils.datastructures import MultiValueDict
from django.utils.translation import gettext as _

from jingwei.bureau.access import Role, may
from jingwei.bureau.accounts.calendar import in_force
from jingwei.bureau.accounts.models import User
from jingwei.bureau.cases import pauses, search, selectors
from jingwei.bureau.cases.deadlines import deadline, moment
from jingwei.bureau.cases.errors import Gone, Invalid, Refused, Stale, Unknown
from jingwei.bureau.cases.flow import ESCALATE, Flow, Transition
from jingwei.bureau.cases.flows import FLOWS
from jingwei.bureau.cases.forms import TransitionForm
from jingwei.bureau.cases.models import Case, CaseEvent, CaseFile, SavedFilter
from jingwei.bureau.cases.telling import told
from jingwei.bureau.evidencelog.services import record
from jingwei.bureau.findings import files as filing
from jingwei.bureau.findings.models import Finding, Kind
from jingwei.bureau.findings.services import Refused as FindingRefused
from jingwei.bureau.findings.services import take
from jingwei.bureau.prepared import Prepared, insert, update
from jingwei.bureau.registry.models import Enterprise, Region
from jingwei.bureau.rows import beyond
from jingwei.evidence import canonical, digest
from jingwei.standards.matters import kinds

# What events may change on a case; the fold of their `changes` is the case's row.
FOLDED = (
    "state",
    "title",
    "text",
    "basis",
    "matter",
    "detail",
    "facts",
    "enterprise_id",
    "parent_id",
    "region_id",
    "department_id",
    "holder_id",
    "party_ids",
    "number",
    "opened",
    "issued",
    "closed",
    "published",
    "listed",
    "due",
    "derivation",
    "paused",
    "pauses",
    "level_since",
    "level_due",
    "level_derivation",
    "escalated",
    "wake_at",
)
COLUMNS = tuple(name for name in FOLDED if name != "party_ids")
DERIVED = ("escalate_at", "clock", "asks")
PLACE = {"department_id", "region_id", "party_ids", "holder_id", "matter"}  # who sees a case
SEARCHED = {"title", "number", "text", "enterprise_id"}
# Who speaks for the city: not bound to the case's department where an act is its lead's.
CITY = (Role.DISPATCHER, Role.LEADER)


# Asked in every act.
_by_key: Prepared[CaseEvent] = Prepared(
    lambda key: CaseEvent.objects.filter(key=key).select_related("case")
)
_last_seq: Prepared[int] = Prepared(
    lambda case: (
        CaseEvent.objects.filter(case=case).order_by("-seq").values_list("seq", flat=True)[:1]
    )
)
_escalation_keys: Prepared[str] = Prepared(
    lambda case: (
        CaseEvent.objects.filter(case=case, transition=ESCALATE)
        .order_by()
        .values_list("key", flat=True)
    )
)
_locked: Prepared[Case] = Prepared(
    lambda pk: (
        Case.objects.filter(pk=pk)
        .select_for_update(of=("self",))
        .select_related("enterprise", "department")
    )
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
    key = _key(user, token)
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
            _apply(case, changes)
            changes = _merged(changes, _effect(step, case, form, now))
            if "department_id" not in changes:
                changes["department_id"] = selectors.district_of(changes["region_id"]).pk
            changes |= _with_clocks(case, changes, now)
            case.derive()
            insert(case)
            case.save_parties()
            search.store(case, new=True)
            case.findings.add(*about)
            take(chosen)  # those of the parent are taken already
            _append(
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
        key = _key(user, token)
        case = _locked.first(case_id)
        if case is None or not selectors.reaches(user, case):
            return _lost(user, case_id, version, key)
        done = _done(key)
        if done:
            return done
        step = case.rules.transition(transition)
        if step is None or step is case.rules.opening or step.clock:
            raise Unknown(_("There is no such act."))
        if step.locks and case.version != version:
            raise Stale(_meanwhile(case))
        reason = refusal(user, case, step)
        if reason:
            raise Refused(reason)
        form = TransitionForm(step, case, data or {}, _multi(files))
        if not form.is_valid():
            raise Invalid(form)
        absent = Case.objects.absent(user, case.pk)
        if case.escalate_at and case.escalate_at <= now:
            _escalate(case, now)  # a delay that no tick has seen yet does not go with this act
        source, target, before = case.state, step.target_from(case.state), case.escalated
        changes = _effect(step, case, form, now)
        if target != source:
            changes["state"] = target
        changes |= _with_clocks(case, changes, now)
        if step.locks:
            _save(case, version, changes)
        return _append(
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
                    "Somebody was faster: %(who)s, “%(act)s”, %(time)s."
                    " The case is not in your jurisdiction any more."
                )
                % _last(case)
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
    now: datetime | None = None,
) -> CaseEvent:
    """Write down one of `flow.NOTES` in the caller's transaction: it changes nothing of the case.

    `form` is valid and brings text and files; `written` is that of `files.cleared_away`.
    """
    locked = _locked.first(case.pk)
    assert locked is not None  # a case is never deleted
    return _append(
        locked,
        what,
        source=locked.state,
        user=user,
        now=now or timezone.now(),
        form=form,
        data=data,
        changes={},
        internal=True,
        key=None,
        written=written,
    )


# --- the clock -------------------------------------------------------------------------------


def escalate(case_id: int, now: datetime) -> list[CaseEvent]:
    """Write the escalations of one case that are due at `now`, each once; the new events.

    After an outage every level that was passed meanwhile is written, in order, each with the
    moment at which it fell due. Two machines at once: the second finds nothing left to do.
    """
    with transaction.atomic():
        return _escalate(Case.objects.select_for_update().get(pk=case_id), now)


@transaction.atomic
def escalate_all(cases: Iterable[int], now: datetime) -> list[CaseEvent]:
    """The same for many cases, in one transaction. Cases on which somebody acts just now are
    passed over on PostgreSQL: the next tick finds them."""
    free = connection.features.has_select_for_update_skip_locked
    rows = Case.objects.select_for_update(of=("self",), skip_locked=free)
    rows = rows.filter(pk__in=list(cases), escalate_at__lte=now).order_by("pk")
    known = rows.select_related("enterprise", "department", "region").defer("region__geometry")
    return [event for case in known for event in _escalate(case, now)]


def _escalate(case: Case, now: datetime) -> list[CaseEvent]:
    """The case is locked."""
    events = []
    possible = escalations(case)
    written = _written(case, possible)
    for reached, rule, level, due in possible:
        key = escalation_key(case, rule, level, due)
        if reached > now or key in written:
            continue
        changes = {"escalated": max(case.escalated, level)}
        _apply(case, changes)
        events.append(
            _append(
                case,
                ESCALATE,
                source=case.state,
                user=None,
                now=now,
                data={"rule": rule, "level": level, "due": due, "reached": reached},
                changes=changes,
                internal=True,
                key=key,
                risen=(level,),
            )
        )
    left = [
        m
        for m, r, level, d in possible
        if m > now and escalation_key(case, r, level, d) not in written
    ]
    case.escalate_at = min(left, default=None)
    # The version stays: the clock does not make a form stale that somebody is filling in.
    case.save(update_fields=["escalated", "escalate_at"])
    return events


def wake(case_id: int, now: datetime, since: datetime | None = None) -> CaseEvent | None:
    """Do what the clock does in a case whose `wake_at` has come; None where nothing is to be done.

    `since`: when it would have come, in a case of before its flow set one. Two machines at once:
    the second finds that the time has been changed.
    """
    with transaction.atomic():
        case = Case.objects.select_for_update().get(pk=case_id)
        case.wake_at = case.wake_at or since
        if case.wake_at is None or case.wake_at > now:
            return None
        step, due = case.rules.alarm(case.state), case.wake_at
        changes: dict[str, Any] = {"wake_at": None}
        case.wake_at = None
        source = case.state
        if step is None:
            raise ValueError(f"case {case_id}: nothing wakes in the state {source!r}")
        if step.effect:
            changes |= step.effect(case, {}, now)
        if step.target_from(source) != source:
            changes["state"] = step.target
        changes |= _with_clocks(case, changes, now)
        _save(case, case.version, changes)
        return _append(
            case,
            step.name,
            source=source,
            user=None,
            now=now,
            data={"due": due},
            changes=changes,
            internal=step.internal,
            key=f"wake:{case.pk}:{due.astimezone(UTC):%Y%m%dT%H%M%S.%f}",
        )


def escalations(case: Case) -> list[tuple[datetime, str, int, datetime]]:
    """(moment, rule, level, deadline) of every escalation that the running clocks can give."""
    if case.at.final:
        return []
    clocks = [("level", case.level_due), ("business", case.running_due)]
    running = [(rule, due) for rule, due in clocks if due]
    if not running:
        return []
    calendar = in_force(case.level_since)
    return sorted(
        (moment(due, after, calendar) if after else due, rule, level, due)
        for rule, due in running
        for level, after in case.rules.escalation
    )


def escalation_key(case: Case, rule: str, level: int, due: datetime) -> str:
    """What makes an escalation happen once."""
    return f"escalate:{case.pk}:{rule}:{level}:{due.astimezone(UTC):%Y%m%dT%H%M%S.%f}"


def standing(case: Case) -> tuple[int, datetime | None]:
    """The highest level that was written of the clocks that run, 0 for none, and when the next
    falls due that was not; None where none will."""
    possible = escalations(case)
    if not possible:
        return 0, None
    written = _written(case, possible) if case.pk else set()
    highest, left = 0, []
    for reached, rule, level, due in possible:
        if escalation_key(case, rule, level, due) in written:
            highest = max(highest, level)
        else:
            left.append(reached)
    return highest, min(left, default=None)


def _written(case: Case, possible: list[Any]) -> set[str]:
    """The keys of those escalations that stand in the events."""
    keys = {escalation_key(case, rule, level, due) for _m, rule, level, due in possible}
    return keys & set(_escalation_keys(case.pk))


def _with_clocks(case: Case, changes: dict[str, Any], now: datetime) -> dict[str, Any]:
    """Apply the changes; apply and return what follows from them, in whatever flow.

    The level clock starts anew with a new state or department: no edit, extension or comment
    starts it. Whoever is late in a state stays late in it: a case that comes back there has the
    level again that was written of its deadline.
    """
    moved = changes.get("department_id", case.department_id) != case.department_id
    result = {**_let_go(case, changes), **pauses.left(case, changes, now)}
    _apply(case, {**changes, **result})
    if not moved and not {"state", "due", "paused"} & set(changes):
        return result
    if moved or "state" in changes:
        limit = case.at.limit
        level_due, derivation = deadline(now, limit, since="state") if limit else (None, [])
        clock = {"level_since": now, "level_due": level_due, "level_derivation": derivation}
        _apply(case, clock)
        result |= clock
    level, case.escalate_at = standing(case)
    if case.escalated != level:
        result["escalated"] = case.escalated = level
    return result


def _let_go(case: Case, changes: Mapping[str, Any]) -> dict[str, Any]:
    """What frees a case of its holder, where it goes to another department or district than the
    one for which the holder has it. Who works for the whole city keeps it, and so does a grid
    officer while the case stays in the district."""
    gone = {
        name
        for name in ("department_id", "region_id")
        if changes.get(name, getattr(case, name)) != getattr(case, name)
    }
    if not gone or case.holder is None or case.holder.role in CITY:
        return {}
    if case.holder.role == Role.GRID and "region_id" not in gone:
        return {}
    return {"holder_id": None}


# --- what people keep for themselves -----------------------------------------------------------


@transaction.atomic
def save_filter(user: User, name: str, query: str) -> None:
    """Keep a view of the list under a name; the same name again replaces it."""
    SavedFilter.objects.update_or_create(user=user, name=name, defaults={"query": query})


@transaction.atomic
def drop_filter(user: User, pk: int) -> None:
    SavedFilter.objects.filter(user=user, pk=pk).delete()


# --- parts -----------------------------------------------------------------------------------


def _save(case: Case, version: int, changes: Mapping[str, Any]) -> None:
    case.derive()
    names = (*(name for name in COLUMNS if name in changes), *DERIVED)
    values = {name: getattr(case, name) for name in names}
    values["version"] = version + 1
    if not update(Case, {"id": case.pk, "version": version}, values):
        raise Stale(_meanwhile(case))
    case.version = version + 1
    case.save_parties()
    if SEARCHED & changes.keys():
        search.store(case)


def _append(
    case: Case,
    transition: str,
    *,
    source: str,
    user: User | None,
    now: datetime,
    form: TransitionForm | None = None,
    data: Mapping[str, Any] | None = None,
    changes: Mapping[str, Any],
    internal: bool,
    key: str | None,
    written: list[str] | None = None,
    risen: Iterable[int] = (),
) -> CaseEvent:
    """The event, its files and its evidence entry. The case's lock is held. `risen`: the levels
    of delay whose superiors hear of it by this event."""
    said = {**(form.said if form else {}), **(data or {})}
    text = said.pop("text", "")
    event = CaseEvent(
        case=case,
        seq=(_last_seq.first(case.pk) or 0) + 1,
        transition=transition,
        source=source,
        target=case.state,
        actor=user,
        role=user.role if user else "",
        department=user.department if user else None,
        at=now,
        text=text,
        data=plain(said),
        changes=plain(changes),
        internal=internal,
        key=key,
        salt=secrets.token_hex(16),
    )
    uploads = form.uploads if form else []
    digests = [digest.both(filing.chunks(upload)) for _kind, upload, _type in uploads]
    event.evidence = record(
        "case_event",
        f"case:{case.pk}",
        testimony(event, digests),
        actor=str(user.pk) if user else "",
    )
    insert(event)
    for position, ((kind, upload, content_type), found) in enumerate(
        zip(uploads, digests, strict=True), start=1
    ):
        CaseFile.objects.create(
            event=event,
            position=position,
            kind=kind,
            name=filing.display_name(upload.name),
            content_type=content_type,
            size=upload.size,
            file=filing.store("cases", upload, written if written is not None else []),
            **found,
        )
    told(event, case, risen)
    return event


def testimony(event: CaseEvent, files: list[dict[str, str]]) -> dict[str, Any]:
    """What the evidence log says of an event: no person, no text, but a salted digest of them."""
    body = canonical.dumps(
        {"text": event.text, "data": event.data, "changes": event.changes, "salt": event.salt}
    )
    return {
        "case": event.case_id,
        "number": event.case.number or "",
        "seq": event.seq,
        "flow": event.case.flow,
        "transition": event.transition,
        "source": event.source,
        "target": event.target,
        "role": event.role,
        "department": event.department.code if event.department else "",
        "at": plain(event.at),
        "body": digest.both(body),
        "files": files,
    }


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


def _key(user: User, token: str) -> str | None:
    return f"act:{user.pk}:{token[:64]}" if token else None


def _done(key: str | None) -> CaseEvent | None:
    return _by_key.first(key) if key else None


def _multi(files: Mapping[str, Any] | None) -> MultiValueDict:
    if isinstance(files, MultiValueDict):
        return files
    return MultiValueDict(
        {k: list(v) if isinstance(v, list | tuple) else [v] for k, v in (files or {}).items()}
    )


def _meanwhile(case: Case) -> str:
    return _(
        "Somebody was faster: %(who)s, “%(act)s”, %(time)s. Look at the case as it is now;"
        " what you wrote is kept."
    ) % _last(case)


def _last(case: Case) -> dict[str, Any]:
    """Who did what when, of the latest act."""
    last = case.events.select_related("actor", "case").order_by("-seq").first()
    return {
        "who": last.actor or _("the clock"),
        "act": last.label,
        "time": timezone.localtime(last.at).strftime("%H:%M:%S"),
    }


def _effect(step: Transition, case: Case, form: TransitionForm, now: datetime) -> dict[str, Any]:
    return dict(step.effect(case, form.said, now)) if step.effect else {}


def _merged(changes: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Both together; of `detail` the parts of both."""
    both = {**changes, **more}
    if "detail" in changes and "detail" in more:
        both["detail"] = {**changes["detail"], **more["detail"]}
    return both


def _apply(case: Case, changes: Mapping[str, Any]) -> None:
    for name, value in changes.items():
        if name not in FOLDED:
            raise ValueError(f"{name} is not folded from events")
        setattr(case, name, {**case.detail, **plain(value)} if name == "detail" else value)


def plain(value: Any) -> Any:
    """A value as JSON; times in UTC."""
    if isinstance(value, Mapping):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    return value if value is None or isinstance(value, bool | int | float) else str(value)
