"""Everything that writes programmes, their items and summaries, and shared cases; what is done to a
programme by its flow stands in `acting`."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _

from jingwei.bureau import once
from jingwei.bureau.access import Role, may
from jingwei.bureau.accounts.models import Department, User
from jingwei.bureau.accounts.selectors import people
from jingwei.bureau.campaigns.flows import by_the_end_of
from jingwei.bureau.campaigns.models import (
    Answer,
    Evaluation,
    Item,
    Programme,
    Recommendation,
    Share,
    Summary,
)
from jingwei.bureau.campaigns.sheets import Row
from jingwei.bureau.cases import services as kernel
from jingwei.bureau.cases.errors import Refused
from jingwei.bureau.cases.flow import ANSWERED, SHARED, UNSHARED
from jingwei.bureau.cases.forms import TransitionForm
from jingwei.bureau.cases.models import Case
from jingwei.bureau.cases.telling import who_may_know
from jingwei.bureau.cases.writing import under_lock
from jingwei.bureau.evidencelog.services import record
from jingwei.bureau.findings import files as filing
from jingwei.bureau.notices.models import Message
from jingwei.bureau.notices.services import mark_read, tell
from jingwei.evidence import canonical, digest
from jingwei.telemetry.lake import LakeError

LONGEST_SHARE = 180  # days
MOST_ANSWERS = 50  # by one link


def _demand(user: User, action: str) -> None:
    if not may(user, action):
        raise Refused(_("Your role may not do this."))


def begin(user: User, kind: str, data: Mapping[str, Any], *, token: str = "") -> Programme:
    """A new list or campaign from the cleaned data of `forms.ProgrammeForm`. The same user and
    `token` again get the same one. Raises `Refused`."""
    _demand(user, "campaign.manage")
    key = once.key(user, token)
    try:
        with transaction.atomic():
            return Programme.done(key) or _begun(user, kind, data, key)
    except IntegrityError:
        done = Programme.done(key)  # the same form sent twice at once: the other one was faster
        if done is None:
            raise
        return done


def _begun(user: User, kind: str, data: Mapping[str, Any], key: str | None) -> Programme:
    fields = {k: v for k, v in data.items() if k != "regions"}
    regions, chosen = list(data.get("regions", ())), sorted(data.get("matters", ()))
    entry = record(
        "campaign",
        f"campaign:{secrets.token_hex(8)}",
        {
            "act": "begin",
            "kind": kind,
            "title": data["title"],
            "level": data["level"],
            "document": data["document"],
            "begins": data["begins"],
            "ends": data["ends"],
            "regions": sorted(r.pk for r in regions),
            "matters": chosen,
            "lead": data["lead"].code,
        },
        actor=str(user.pk),
        said={name: fields.get(name, "") for name in ("text", "checklist")},
    )
    programme = Programme.objects.create(kind=kind, evidence=entry, key=key, **fields)
    programme.regions.set(regions)
    return programme


@transaction.atomic
def enter(
    user: User,
    programme: Programme,
    rows: Sequence[Row],
    now: datetime | None = None,
    *,
    token: str = "",
) -> int:
    """Open a case for each row of a list; how many. All or none; by the same user and `token` once.
    Raises `Refused`."""
    _demand(user, "campaign.manage")
    now = now or timezone.now()
    # Two tables at once, or one while the list is concluded: the second one waits here.
    programme = Programme.objects.select_for_update().get(pk=programme.pk)
    if entered(user, token):
        return len(rows)
    if programme.kind != Programme.Kind.LIST or programme.closed:
        raise Refused(_("Items are entered into an open rectification list."))
    numbers = set(programme.items.values_list("number", flat=True))
    for position, row in enumerate(rows):
        if row.due is None or row.region is None or row.department is None:
            raise Refused(_("Row %d is not complete.") % row.line)
        if row.number in numbers:
            raise Refused(
                _("Number %s stands in the list already: nothing was entered.") % row.number
            )
        numbers.add(row.number)
        due, step = by_the_end_of(row.due)
        case = kernel.open_case(
            user,
            data={
                "title": row.title,
                "text": row.text,
                "basis": row.basis or programme.document or programme.title,
            },
            flow="rectification",
            enterprise=row.enterprise,
            region=row.region,
            token=token and f"{token}-{position}",
            now=now,
            opening={
                "department_id": row.department.pk,
                "party_ids": [d.pk for d in row.parties],
                "due": due,
                "derivation": [step],
                "detail": {
                    "item": row.number,
                    "list": programme.title,
                    "leader": row.leader,
                    "target": row.target,
                    "measures": row.measures,
                    "milestones": row.milestones,
                },
            },
        )
        Item.objects.create(programme=programme, number=row.number, case=case)
    return len(rows)


def entered(user: User, token: str) -> bool:
    """Whether this user entered rows by this token already."""
    return bool(token) and kernel.opened(user, f"{token}-0") is not None


@transaction.atomic
def summarise(
    user: User,
    programme: Programme,
    day: date,
    text: str,
    figures: Mapping[str, Any],
    *,
    token: str = "",
) -> Summary:
    """The summary of a day, with the figures as they stand. The same user and `token` again get the
    same one. Raises `Refused`."""
    _demand(user, "campaign.report")
    # Two sendings at once, or one while the campaign ends: the second one waits here.
    programme = Programme.objects.select_for_update().get(pk=programme.pk)
    key = once.key(user, token)
    done = Summary.done(key)
    if done is not None:
        return done
    if programme.closed:
        raise Refused(_("It is over: “%(state)s”.") % {"state": programme.at.label})
    if not programme.begins <= day <= min(programme.ends, timezone.localdate()):
        raise Refused(_("The day must lie within the campaign and not in the future."))
    now = timezone.now()
    return Summary.objects.create(
        programme=programme,
        day=day,
        text=text,
        figures=dict(figures),
        key=key,
        actor=user,
        at=now,
        evidence=record(
            "campaign",
            f"campaign:{programme.pk}",
            {"act": "summary", "day": day, "figures": dict(figures)},
            actor=str(user.pk),
            said={"text": text},
        ),
    )


# --- what comes of a campaign ------------------------------------------------------------------


def evaluate(
    user: User, programme: Programme, today: date | None = None, *, token: str = ""
) -> Evaluation:
    """Read what was measured before, during and after, and keep it. The same user and `token` again
    get what was kept. Raises `Refused`."""
    from jingwei.bureau.campaigns.evaluating import evaluate as measured

    _demand(user, "campaign.manage")
    key = once.key(user, token)
    done = Evaluation.done(key)
    if done is not None:
        return done
    if programme.kind != Programme.Kind.CAMPAIGN:
        raise Refused(_("Only a campaign is evaluated by what was measured."))
    if programme.last_day < programme.begins:
        raise Refused(_("The campaign was called off before it began: nothing is to be evaluated."))
    if programme.begins >= (today or timezone.localdate()):
        raise Refused(_("The first day of the campaign is not over yet: evaluate it tomorrow."))
    try:
        figures = measured(programme, today)  # before the transaction: it reads the lake
    except LakeError:
        raise Refused(
            _("The stored measurements cannot be read now. Try again in a few minutes.")
        ) from None
    with transaction.atomic():
        # The same form sent twice at once: the second one waits here.
        Programme.objects.select_for_update().get(pk=programme.pk)
        done = Evaluation.done(key)
        if done is not None:
            return done
        mark_read(Message.objects.filter(key=programme.evaluation_key))
        return Evaluation.objects.create(
            programme=programme,
            figures=figures,
            key=key,
            actor=user,
            at=timezone.now(),
            evidence=record(
                "campaign",
                f"campaign:{programme.pk}",
                {"act": "evaluate", "figures": digest.both(canonical.dumps(figures))},
                actor=str(user.pk),
            ),
        )


@transaction.atomic
def recommend(
    user: User,
    programme: Programme,
    cause: str,
    measure: str,
    department: Department,
    due: date,
    *,
    token: str = "",
) -> Recommendation:
    """Confirm what is recommended against a cause of the programme's cases. The same user and
    `token` again get the same one. Raises `Refused`."""
    from jingwei.bureau.campaigns.selectors import causes

    _demand(user, "campaign.manage")
    Programme.objects.select_for_update().get(pk=programme.pk)
    key = once.key(user, token)
    done = Recommendation.done(key)
    if done is not None:
        return done
    count = next((c.count for c in causes(user, programme) if c.code == cause), 0)
    if not count:
        raise Refused(_("No closed case of the programme names this cause."))
    if programme.recommendations.filter(cause=cause, withdrawn__isnull=True).exists():
        raise Refused(
            _("There is a recommendation against this cause: withdraw it before you make another.")
        )
    if due <= timezone.localdate():
        raise Refused(_("The day by which it is to be done must lie in the future."))
    return Recommendation.objects.create(
        programme=programme,
        cause=cause,
        count=count,
        measure=measure,
        department=department,
        due=due,
        key=key,
        actor=user,
        at=timezone.now(),
        evidence=record(
            "campaign",
            f"campaign:{programme.pk}",
            {
                "act": "recommend",
                "cause": cause,
                "cases": count,
                "department": department.code,
                "due": due,
            },
            actor=str(user.pk),
            said={"measure": measure},
        ),
    )


@transaction.atomic
def withdraw(user: User, programme: Programme, pk: int) -> None:
    """Take a recommendation back; it stays readable. Does nothing where it is withdrawn already."""
    _demand(user, "campaign.manage")
    rows = programme.recommendations.select_for_update()
    row = rows.filter(pk=pk, withdrawn__isnull=True).first()
    if row is None:
        return
    row.withdrawn = timezone.now()
    row.save(update_fields=["withdrawn"])
    record(
        "campaign",
        f"campaign:{programme.pk}",
        {"act": "withdraw", "recommendation": row.pk},
        actor=str(user.pk),
    )


# --- across the border -------------------------------------------------------------------------


def hashed(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


@transaction.atomic
def share(
    user: User,
    case_id: int,
    authority: str,
    request: str,
    with_facts: bool,
    days: int,
    *,
    form: str = "",
) -> tuple[Share, str]:
    """Share a case with an authority outside the city; the secret of its link, told only here.

    `form` is what `once.token` gives: the same user and form again get the same link, whose secret
    is made from them with the secret key of the system. Raises `Refused`.
    """
    _demand(user, "campaign.share")
    case = Case.objects.restrict(user, "case.view").filter(pk=case_id).first()
    if case is None:
        raise Refused(_("There is no such case in your jurisdiction."))
    if case.issued is None:
        raise Refused(_("The case has not been issued yet: share it once it has gone out."))
    if not 1 <= days <= LONGEST_SHARE:
        raise Refused(_("A case is shared for 1 to %d days.") % LONGEST_SHARE)
    key = once.key(user, form)
    token, now = secrets.token_urlsafe(32), timezone.now()
    if key:
        token = salted_hmac("campaigns.share", key, algorithm="sha256").hexdigest()
    under_lock.first(case.pk)  # the same form sent twice at once: the second one waits here
    done = Share.objects.filter(digest=hashed(token)).first()
    if done is not None:
        return done, token
    kernel.note(case, SHARED, {"authority": authority, "text": request}, user=user, now=now)
    made = Share.objects.create(
        case=case,
        authority=authority,
        request=request,
        with_facts=with_facts,
        digest=hashed(token),
        expires=now + timedelta(days=days),
        actor=user,
        at=now,
        evidence=record(
            "case.share",
            f"case:{case.pk}",
            {"act": "share", "authority": authority, "facts": with_facts, "days": days},
            actor=str(user.pk),
            said={"request": request},
        ),
    )
    return made, token


@transaction.atomic
def revoke(user: User, pk: int) -> Share:
    """End a share before its time. Raises `Refused`, `Share.DoesNotExist`."""
    _demand(user, "campaign.share")
    made = Share.objects.select_for_update().get(pk=pk)
    if made.revoked is None:
        made.revoked = timezone.now()
        made.save(update_fields=["revoked"])
        kernel.note(made.case, UNSHARED, {"authority": made.authority}, user=user, now=made.revoked)
        record(
            "case.share",
            f"case:{made.case_id}",
            {"act": "revoke", "share": made.pk},
            actor=str(user.pk),
        )
    return made


def opened(made: Share) -> None:
    """Count that the neighbour looked."""
    Share.objects.filter(pk=made.pk).update(opened=F("opened") + 1, last_opened=timezone.now())


def answer(made: Share, form: TransitionForm, *, token: str = "") -> Answer:
    """What the neighbouring authority answers, from the valid form of `flows.ANSWER`. It stands on
    the case's timeline with its files, and whoever shares cases and whoever it waits for hears of
    it. The same `token` again gets the same answer. Raises `Refused` where the link is not in force any more, or has been used too often."""
    with filing.cleared_away() as written, transaction.atomic():
        share = Share.objects.select_for_update(of=("self",)).select_related("case").get(pk=made.pk)
        now, key = timezone.now(), f"share:{made.pk}:{token}" if token else None
        done = share.answers.filter(event__key=key).first() if key else None
        if done is not None:
            return done
        if share.revoked or share.expires <= now:
            raise Refused(_("This link is closed"))
        if share.answers.count() >= MOST_ANSWERS:
            raise Refused(
                _("This link has taken %d answers already: ask the authority for another one.")
                % MOST_ANSWERS
            )
        event = kernel.note(
            share.case, ANSWERED, {"authority": share.authority},
            form=form, written=written, key=key, now=now,
        )  # fmt: skip
        name, text = form.cleaned_data["name"], form.cleaned_data["text"]
        found = Answer.objects.create(
            share=share,
            name=name,
            text=text,
            at=now,
            event=event,
            evidence=record(
                "case.share",
                f"case:{share.case_id}",
                {"act": "answer", "share": share.pk, "authority": share.authority},
                said={"name": name, "text": text},
            ),
        )

        def answered() -> str:
            return _("%(authority)s answers: %(case)s") % {
                "authority": share.authority,
                "case": share.case,
            }

        tell(
            [share.actor, *people(Role.DISPATCHER), *who_may_know(event, share.case)],
            answered, kind="case", url=share.case.get_absolute_url(),
            key=f"share:{share.pk}:{found.pk}", now=now,
        )  # fmt: skip
    return found
