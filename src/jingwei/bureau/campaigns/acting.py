"""What is done to a programme by the flow of its course (`course.CAMPAIGN`), kept in `models.Change`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from jingwei.bureau import once
from jingwei.bureau.access import may
from jingwei.bureau.accounts.models import Department, User
from jingwei.bureau.campaigns import course
from jingwei.bureau.campaigns.models import Change, Programme, Team
from jingwei.bureau.cases.errors import Invalid, Refused, Stale
from jingwei.bureau.cases.flow import Transition
from jingwei.bureau.cases.forms import TransitionForm
from jingwei.bureau.cases.models import Case
from jingwei.bureau.cases.telling import turn
from jingwei.bureau.cases.writing import plain
from jingwei.bureau.evidencelog.services import record
from jingwei.bureau.notices.services import tell
from jingwei.bureau.registry.models import Region


def amend(
    user: User, pk: int, data: Mapping[str, Any], *, seen: int | None = None, token: str = ""
) -> Change:
    """Change the plan of a campaign that is not over, by the values of the act's form; its teams and
    leading departments are told. `seen`: how many changes the user saw. The same user and `token`
    again get the same change. Raises `Refused`, `Stale`, `Invalid` with the bound form,
    `Programme.DoesNotExist`."""
    return _act(user, pk, "amend", data, seen=seen, token=token)


def call_off(
    user: User, pk: int, data: Mapping[str, Any], *, seen: int | None = None, token: str = ""
) -> Change:
    """End a campaign before its time (what that means stands in `course`); its teams, its leading department
    and those for whom its inspections wait are told. Raises as `amend`."""
    return _act(user, pk, "call_off", data, seen=seen, token=token)


def conclude(
    user: User,
    pk: int,
    text: str,
    figures: Mapping[str, Any],
    *,
    seen: int | None = None,
    token: str = "",
) -> Change:
    """Close a programme with its conclusion; of a list only when every item is cleared. Raises as
    `amend`."""
    facts = {"figures": dict(figures)}
    return _act(user, pk, "conclude", {"text": text}, seen=seen, token=token, facts=facts)


@transaction.atomic
def _act(
    user: User,
    pk: int,
    name: str,
    data: Mapping[str, Any],
    *,
    seen: int | None,
    token: str,
    facts: Mapping[str, Any] | None = None,
) -> Change:
    programme = Programme.objects.select_for_update().get(pk=pk)
    key = once.key(user, token)
    done = Change.done(key)
    if done is not None:
        return done
    now, step = timezone.now(), _step(name)
    form = TransitionForm(step, programme, data)
    _allow(user, programme, step, programme.changes.last(), seen)
    if not form.is_valid():
        raise Invalid(form)
    was = course.plan(programme)
    changes = step.effect(programme, form.said, now) if step.effect else {}
    for column, value in changes.items():
        if column == "regions":
            programme.regions.set(value)
        elif column == "lead":
            programme.lead = course.leads().get(code=value)
        else:
            setattr(programme, column, value)
    programme.state = step.target_from(programme.state)
    programme.save()
    made = {k: [was[k], v] for k, v in changes.items() if k in course.AMENDED}
    change = _changed(user, programme, name, form.said["text"], made, now=now, key=key, facts=facts)
    _tell_of(change, former=made.get("lead", [None])[0])
    return change


def _step(name: str) -> Transition:
    step = course.CAMPAIGN.transition(name)
    assert step is not None
    return step


def _allow(
    user: User,
    programme: Programme,
    step: Transition,
    last: Change | None = None,
    seen: int | None = None,
) -> None:
    """Raise `Refused` where the user may not do it now. The programme is locked."""
    if not may(user, course.CAMPAIGN.action):
        raise Refused(_("Your role may not do this."))
    if programme.state not in step.sources:
        raise Refused(
            _("It is now “%(state)s”: “%(act)s” is not possible any more.")
            % {"state": programme.at.label, "act": step.label}
        )
    if seen is not None and last is not None and last.seq != seen:
        raise Stale(
            _(
                "Done since this page was opened: %(who)s, “%(act)s”, %(time)s. Look at it as it is now;"
                " what you wrote is kept."
            )
            % {
                "who": last.actor,
                "act": course.CAMPAIGN.label_of(last.act),
                "time": timezone.localtime(last.at).strftime("%H:%M:%S"),
            }
        )
    reason = step.guard(programme, user) if step.guard else None
    if reason:
        raise Refused(str(reason))


def _changed(
    user: User,
    programme: Programme,
    act: str,
    text: str,
    changes: Mapping[str, list[Any]],
    *,
    now: datetime,
    key: str | None = None,
    data: Mapping[str, Any] | None = None,
    facts: Mapping[str, Any] | None = None,
) -> Change:
    """Keep what was done, with its entry in the evidence log; `facts` stand there alone."""
    last = programme.changes.last()
    row = Change(
        programme=programme,
        seq=(last.seq if last else 0) + 1,
        act=act,
        actor=user,
        at=now,
        text=text,
        changes=plain(changes),
        data=plain(data or {}),
        key=key,
    )
    row.evidence = record(
        "campaign",
        f"campaign:{programme.pk}",
        {**testimony(row), **(facts or {})},
        actor=str(user.pk),
        said=words(row),
    )
    row.save()
    return row


def testimony(change: Change) -> dict[str, Any]:
    """What the evidence log says of a change in clear: no word of anybody."""
    told = {"act": change.act, "seq": change.seq}
    clear = {k: is_ for k, (_was, is_) in change.changes.items() if k not in course.WORDS}
    rewritten = sorted(set(change.changes) & set(course.WORDS))
    return told | ({"changes": clear, "rewritten": rewritten} if change.changes else {})


def words(change: Change) -> dict[str, Any]:
    """What it says of it by digest: the reason, the plan's new words, a team's name and members."""
    written = {
        {"text": "plan"}.get(k, k): is_
        for k, (_was, is_) in change.changes.items()
        if k in course.WORDS
    }
    return {"text": change.text, **written, **change.data}


def _tell_of(change: Change, former: str | None = None) -> None:
    """Tell those concerned of an amendment or the end of a campaign, in the act's transaction."""
    programme = change.programme
    if change.act == "conclude":
        return
    offices = (
        [programme.lead, *Department.objects.filter(code=former)] if former else [programme.lead]
    )
    members = User.objects.filter(is_active=True, pk__in=programme.teams.values("members"))
    to: list[User | Department] = [*offices, *members]
    if change.act == "call_off":
        for case in Case.objects.filter(mission__programme=programme, closed__isnull=True):
            to += [] if case.at.final else turn(case)

    def happened() -> str:
        said = (
            _("The campaign “%(title)s” is called off: %(reason)s")
            if change.act == "call_off"
            else _("The campaign “%(title)s” is amended: %(reason)s")
        )
        return said % {"title": programme.title, "reason": change.text}

    tell(
        to, happened, kind="turn", url=programme.get_absolute_url(),
        key=f"campaign-change:{programme.pk}:{change.seq}", besides=change.actor, now=change.at,
    )  # fmt: skip


@transaction.atomic
def add_team(
    user: User,
    programme: Programme,
    name: str,
    region: Region | None,
    members: Iterable[User],
    reason: str = "",
    *,
    token: str = "",
) -> Team | None:
    """A team of a campaign; once that has begun, with the reason. The same user and `token` again
    get the same team; None where it was taken out meanwhile. Raises `Refused`."""
    programme = Programme.objects.select_for_update().get(pk=programme.pk)
    key = once.key(user, token)
    done = Change.done(key)
    if done is not None:
        return programme.teams.filter(name=done.data["name"]).first()
    _allow(user, programme, _step("team"))
    chosen = list(members)
    if not chosen:
        raise Refused(_("A team wants at least one member."))
    if programme.teams.filter(name=name).exists():
        raise Refused(_("There is a team of this name."))
    team = Team.objects.create(programme=programme, name=name, region=region)
    team.members.set(chosen)
    _about_team("team", user, team, chosen, reason, key)
    return team


@transaction.atomic
def remove_team(user: User, programme: Programme, pk: int, reason: str = "") -> None:
    """Take a team out of a campaign, once that has begun with the reason; its members are told.
    Raises `Refused`."""
    programme = Programme.objects.select_for_update().get(pk=programme.pk)
    team = programme.teams.filter(pk=pk).first()
    if team is not None:
        _allow(user, programme, _step("untie"))
        _about_team("untie", user, team, list(team.members.all()), reason)
        team.delete()


def _about_team(
    act: str, user: User, team: Team, members: list[User], reason: str, key: str | None = None
) -> None:
    """Keep that a team was named or taken out, and tell its members."""
    programme = team.programme
    if programme.begun and not reason.strip():
        raise Refused(_("The campaign has begun: say why its teams change."))
    change = _changed(
        user,
        programme,
        act,
        reason.strip(),
        {},
        now=timezone.now(),
        key=key,
        data={"name": team.name, "members": sorted(m.pk for m in members)},
        facts={"team": team.pk, "region": team.region_id or "", "size": len(members)},
    )
    said = {"team": team.name, "campaign": programme.title}
    tell(
        members,
        lambda: (
            (
                _("You are in the team “%(team)s” of the campaign “%(campaign)s”.")
                if act == "team"
                else _("The team “%(team)s” of the campaign “%(campaign)s” was taken out.")
            )
            % said
        ),
        kind="turn",
        url=programme.get_absolute_url(),
        key=f"campaign-{act}:{team.pk}",
        besides=user,
        now=change.at,
    )
