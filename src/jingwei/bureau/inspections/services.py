"""Everything that writes inspections: plans, what comes from a phone, the signed record.

A phone sends what it kept, again and again until it is answered; so everything here happens once
by its identifier, and a second time answers the same.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import uuid
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone, translation
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _

from jingwei.bureau.access import may
from jingwei.bureau.accounts.models import User
from jingwei.bureau.campaigns.models import Programme
from jingwei.bureau.cases import services as kernel
from jingwei.bureau.cases.errors import Refused
from jingwei.bureau.cases.models import Case
from jingwei.bureau.evidencelog.services import record as testify
from jingwei.bureau.findings import files as filing
from jingwei.bureau.findings.models import Finding
from jingwei.bureau.findings.services import notice
from jingwei.bureau.inspections import selectors
from jingwei.bureau.inspections.flow import NAME, ON_THE_SPOT
from jingwei.bureau.inspections.models import (
    Answer,
    Draw,
    Mission,
    Origin,
    Photo,
    Plan,
    PlanItem,
    Record,
    Signature,
)
from jingwei.bureau.registry.models import Enterprise
from jingwei.evidence import canonical, digest

MAX_NOTE = 500
MAX_LINES = 60  # of a campaign's checklist in one inspection
MAX_PHOTOS = 60  # of one inspection
MAX_PICTURE = 300_000  # bytes of one drawn signature
MAX_STROKES = 400
MAX_POINTS = 20_000
FORMAT = "jingwei-inspection/1"


class NoAnswerError(ValidationError):
    """Some of what was sent is no answer; `items`: the codes that it was sent for."""

    def __init__(self, items: list[str]) -> None:
        super().__init__(_("The answers cannot be read."))
        self.items = items


# --- plans -------------------------------------------------------------------------------------


@transaction.atomic
def keep_plan(user: User, year: int, text: str, *, now: datetime | None = None) -> Plan:
    """Make or change the plan of a year."""
    if not may(user, "inspection.plan"):
        raise Refused(_("Your role may not do this."))
    plan, _made = Plan.objects.update_or_create(
        year=year,
        defaults={"text": text},
        create_defaults={"text": text, "by": user, "at": now or timezone.now()},
    )
    return plan


@transaction.atomic
def add_item(
    user: User, plan: Plan, *, origin: str, title: str, count: int, until: date, draw: Draw | None
) -> PlanItem:
    """A line of a plan; a draw belongs to one line of double random inspections."""
    if not may(user, "inspection.plan"):
        raise Refused(_("Your role may not do this."))
    if draw is not None and (
        origin != Origin.RANDOM or PlanItem.objects.filter(draw=draw).exists()
    ):
        raise Refused(_("A draw belongs to one line of double random inspections."))
    return PlanItem.objects.create(
        plan=plan, origin=origin, title=title, count=count, until=until, draw=draw
    )


@transaction.atomic
def plan_inspection(
    user: User,
    enterprise: Enterprise,
    data: Mapping[str, Any],
    *,
    findings: list[Finding] | None = None,
    parent: Case | None = None,
    token: str = "",
    now: datetime | None = None,
    detail: Mapping[str, Any] | None = None,
    programme: Programme | None = None,
) -> Case:
    """Open an inspection of an enterprise that the user may see, for a campaign where one is given:
    what the campaign checks is appended to the checklist. Raises `Refused`, `Invalid`."""
    if programme is not None:
        # One that is called off meanwhile: the second act waits here.
        programme = Programme.objects.select_for_update().get(pk=programme.pk)
        done = kernel.opened(user, token)
        if done is not None:
            return done
        regions = {r.pk for r in programme.regions.all()}
        if programme.closed or programme.kind != Programme.Kind.CAMPAIGN:
            raise Refused(_("Inspections are planned for an open campaign."))
        if regions and enterprise.region_id not in regions:
            raise Refused(
                _(
                    "%(enterprise)s lies outside the campaign's regions: plan it without the campaign."
                )
                % {"enterprise": enterprise.name}
            )
        detail = {**(detail or {}), "lines": programme.lines[:MAX_LINES]}
    case = kernel.open_case(
        user,
        findings or [],
        data,
        flow=NAME,
        enterprise=enterprise,
        parent=parent,
        token=token,
        now=now,
        opening={"detail": dict(detail)} if detail else None,
    )
    if programme is not None:
        Mission.objects.create(case=case, programme=programme)
    return case


@transaction.atomic
def plan_from_draw(user: User, draw: Draw, day: date, *, now: datetime | None = None) -> list[Case]:
    """One inspection for each unit drawn that has none yet, its team as the draw assigned it.

    Raises `Refused` where the draw has no result, or an inspector of a team cannot go any more.
    """
    if not may(user, "draw.manage"):
        raise Refused(_("Your role may not do this."))
    draw = Draw.objects.select_for_update().get(pk=draw.pk)
    if draw.result is None:
        raise Refused(_("The draw has no result yet."))
    with translation.override("zh-hans"):  # the language of the office's documents
        title = _("Double random inspection: %s")
    there = {c.enterprise_id for c in Case.objects.filter(flow=NAME, detail__draw=draw.name)}
    codes = [item["code"] for item in draw.result["selected"]]
    known = {e.uscc: e for e in Enterprise.objects.filter(uscc__in=codes)}
    opened = []
    for item in draw.result["selected"]:
        enterprise = known.get(item["code"])
        if enterprise is None or enterprise.pk in there:
            continue
        case = plan_inspection(
            user,
            enterprise,
            {
                "title": (title % enterprise.name)[:200],
                "origin": Origin.RANDOM,
                "day": day.isoformat(),
                "text": draw.purpose,
            },
            token=f"{draw.name}/{item['code']}",
            now=now,
            detail={"draw": draw.name},
        )
        if len(item["inspectors"]) >= selectors.MIN_TEAM:
            kernel.act(
                user, case.pk, "set_team", case.version, {"team": item["inspectors"]}, now=now
            )
        opened.append(case)
    return opened


# --- from the phone ----------------------------------------------------------------------------


def _spot(user: User, pk: int, now: datetime) -> Case:
    """The locked case, begun on the spot; `Refused` where this user does not inspect it now."""
    case = (
        Case.objects.restrict(user, "case.act")
        .filter(flow=NAME)
        .select_for_update(of=("self",))
        .get(pk=pk)
    )
    if selectors.member(case, user) is None:
        raise Refused(_("Only the inspectors of this inspection's team may do this."))
    if case.state not in ON_THE_SPOT:
        raise Refused(
            _("The record is signed: nothing can be added or changed any more.")
            if selectors.record_of(case)
            else _("The inspection is now “%s”: it is not done on the spot.") % case.state_label
        )
    if case.state == "ready":
        kernel.act(user, pk, "start", case.version, {}, token=f"start-{pk}", now=now)
        case.refresh_from_db()
    return case


def _moment(text: Any, now: datetime) -> datetime:
    """The phone's time of an act; the server's where it is none or lies in the future."""
    try:
        found = parse_datetime(text) if isinstance(text, str) else None
    except ValueError:
        found = None
    if found is None or timezone.is_naive(found) or found > now + timedelta(minutes=5):
        return now
    return found


@transaction.atomic
def keep_answers(
    user: User, pk: int, answers: Any, *, now: datetime | None = None
) -> dict[str, list[str]]:
    """Take answers from a phone: `[{"item", "value", "note", "base", "at"}]`.

    `base` is the version that the phone changed (0: none). An answer that somebody else changed
    since is left as it is and named in `conflicts`; `kept` are those that stand now as sent.
    Raises `Refused`, `Case.DoesNotExist`, and `ValidationError` for what are no answers; where it is
    some of them, `NoAnswerError`. None is taken then.
    """
    now = now or timezone.now()
    case = _spot(user, pk, now)
    items = {item.code: item for item in selectors.checklist(case)}
    if not isinstance(answers, list) or len(answers) > 500:
        raise ValidationError(_("The answers cannot be read."))
    kept, conflicts, wrong = [], [], []
    there = {a.item: a for a in case.answers.all()}
    for said in answers:
        code = str(said.get("item")) if isinstance(said, dict) else ""
        item = items.get(code)
        value, note = (said.get("value"), said.get("note", "")) if item else (None, None)
        if (
            item is None
            or not isinstance(value, str)
            or not isinstance(note, str)
            or not item.accepts(value)
            or len(note) > MAX_NOTE
            or "\x00" in note
        ):
            wrong.append(code)
            continue
        row = there.get(item.code)
        if row and (row.value, row.note) == (value, note):
            kept.append(item.code)
        elif (row.version if row else 0) != said.get("base"):
            conflicts.append(item.code)
        else:
            row = row or Answer(case=case, item=item.code, version=0)
            row.value, row.note, row.by, row.at = value, note, user, _moment(said.get("at"), now)
            row.version += 1
            row.save()
            kept.append(item.code)
    if wrong:
        raise NoAnswerError(wrong)
    return {"kept": kept, "conflicts": conflicts}


def keep_photo(
    user: User, pk: int, data: Mapping[str, Any], upload: Any, *, now: datetime | None = None
) -> Photo:
    """Take a photo from a phone, with the SHA-256 that the phone reckoned at capture.

    `data`: uid, sha256, item, taken, position ("longitude,latitude,accuracy" or nothing). Raises
    as `keep_answers`; `ValidationError` too where the bytes are not those that were captured.
    """
    from jingwei.bureau.cases.forms import PositionField

    now = now or timezone.now()
    try:
        uid = uuid.UUID(str(data.get("uid", "")))
    except ValueError:
        raise ValidationError(_("The photo has no identifier.")) from None
    with filing.cleared_away() as written, transaction.atomic():
        found = Photo.objects.filter(uid=uid, case=pk, by=user).first()
        if found is not None:
            return found
        case = _spot(user, pk, now)
        item = str(data.get("item", ""))
        if upload is None or (item and item not in {i.code for i in selectors.checklist(case)}):
            raise ValidationError(_("The photo cannot be read."))
        if case.photos.count() >= MAX_PHOTOS:
            raise ValidationError(_("An inspection has at most %d photos.") % MAX_PHOTOS)
        content_type = filing.inspect(upload, filing.IMAGES)
        both = digest.both(filing.chunks(upload))
        if both["sha256"] != data.get("sha256"):
            raise ValidationError(
                _("The photo is not the one that was captured: its SHA-256 differs.")
            )
        taken = _moment(data.get("taken"), now)
        entry = testify(
            "inspection.photo",
            f"case:{case.pk}",
            {"case": case.pk, "photo": str(uid), "item": item, "taken": taken, **both},
            actor=str(user.pk),
        )
        return Photo.objects.create(
            case=case,
            uid=uid,
            item=item,
            taken=taken,
            position=PositionField(required=False).clean(str(data.get("position") or "")),
            content_type=content_type,
            size=upload.size,
            file=filing.store("inspections", upload, written),
            by=user,
            received=now,
            evidence=entry,
            **both,
        )


# --- the record --------------------------------------------------------------------------------


@transaction.atomic
def finish(user: User, pk: int, data: Mapping[str, Any], *, now: datetime | None = None) -> Record:
    """Make the record of what was answered, with its signatures, and end the work on the spot.

    `data`: `sheet` (the SHA-256 of what the signers saw, `selectors.sheet`), `at`, `signatures`
    `[{"side", "name", "code", "strokes", "picture" (PNG in base64)}]`, `refusal` None or
    `{"reason", "witness"}`. Sent a second time it answers the record that is there. Raises as
    `keep_answers`.
    """
    now = now or timezone.now()
    case = Case.objects.restrict(user, "case.act").filter(flow=NAME).get(pk=pk)
    there = selectors.record_of(case)
    if there is not None and there.by_id == user.pk:
        return there
    case = _spot(user, pk, now)
    missing = selectors.missing(case)
    if missing:
        raise Refused(_("These items are not yet complete: %s") % "、".join(missing))
    sheet = selectors.sheet_digest(case)
    if data.get("sheet") != sheet:
        raise Refused(
            _(
                "What was signed is not what is here: somebody changed answers or photos meanwhile."
                " Look at them and sign again."
            )
        )
    refusal = _refusal(data.get("refusal"))
    drawn = _signatures(case, data.get("signatures"), refusal)
    content = selectors.content(case, sheet, _moment(data.get("at"), now))
    content["format"] = FORMAT
    content["refusal"] = refusal
    content["signatures"] = [
        {k: s[k] for k in ("side", "name", "sha256", "strokes_sha256")} for s in drawn
    ]
    both = digest.both(canonical.dumps(content))
    problems = sum(answer["problem"] for answer in content["answers"])
    entry = testify(
        "inspection.record",
        f"case:{case.pk}",
        {
            "case": case.pk,
            "problems": problems,
            "photos": [photo["sha256"] for photo in content["photos"]],
            "refused": refusal is not None,
            "signatures": [digest.both(s["picture"]) for s in drawn],
            **both,
        },
        actor=str(user.pk),
    )
    row = Record.objects.create(case=case, content=content, at=now, by=user, evidence=entry, **both)
    Signature.objects.bulk_create([Signature(record=row, **s) for s in drawn])
    kernel.act(
        user,
        pk,
        "sign",
        case.version,
        {"digest": row.sha256, "problems": str(problems)},
        token=f"sign-{pk}",
        now=now,
    )
    return row


def _refusal(said: Any) -> dict[str, str] | None:
    if said is None:
        return None
    if not isinstance(said, dict):
        raise ValidationError(_("The refusal cannot be read."))
    found = {name: str(said.get(name) or "").strip()[:200] for name in ("reason", "witness")}
    if not all(found.values()):
        raise ValidationError(_("A refusal to sign wants its reason and the name of a witness."))
    return found


def _signatures(case: Case, said: Any, refusal: dict[str, str] | None) -> list[dict[str, Any]]:
    """The drawn signatures, read and hashed: every inspector of the team, and the enterprise's
    representative or a witness of the refusal."""
    if not isinstance(said, list) or len(said) > 20:
        raise ValidationError(_("The signatures cannot be read."))
    team = {i.code: i for i in selectors.team(case)}
    found, signed = [], set()
    for one in said:
        if not isinstance(one, dict) or one.get("side") not in Signature.Side.values:
            raise ValidationError(_("The signatures cannot be read."))
        name = str(one.get("name") or "").strip()[:60]
        if one["side"] == Signature.Side.INSPECTOR:
            inspector = team.get(str(one.get("code")))
            if inspector is None:
                raise ValidationError(_("Somebody signed as an inspector who is not in the team."))
            signed.add(inspector.code)
            name = str(inspector.user)
        if not name:
            raise ValidationError(_("A signature wants the name of who signed."))
        found.append({"side": one["side"], "name": name, **_drawn(one)})
    if set(team) - signed:
        raise Refused(_("Every inspector of the team must sign."))
    sides = {s["side"] for s in found}
    if refusal is None and Signature.Side.ENTERPRISE not in sides:
        raise Refused(
            _("The representative of the enterprise must sign, or the refusal be recorded.")
        )
    if refusal is not None and Signature.Side.WITNESS not in sides:
        raise Refused(_("The witness of the refusal must sign."))
    return found


def _drawn(one: Mapping[str, Any]) -> dict[str, Any]:
    """Strokes `[[[x, y, milliseconds], …], …]` of whole numbers, and their picture as PNG."""
    strokes = one.get("strokes")
    whole = (
        isinstance(strokes, list)
        and 0 < len(strokes) <= MAX_STROKES
        and all(isinstance(stroke, list) and stroke for stroke in strokes)
        and sum(map(len, strokes)) <= MAX_POINTS
        and all(
            isinstance(point, list)
            and len(point) == 3
            and all(type(n) is int and abs(n) < 10**9 for n in point)
            for stroke in strokes
            for point in stroke
        )
    )
    try:
        picture = base64.b64decode(str(one.get("picture") or ""), validate=True)
    except (binascii.Error, ValueError):
        picture = b""
    if not whole or len(picture) > MAX_PICTURE or filing.sniff(picture[:32]) != "image/png":
        raise ValidationError(_("A signature cannot be read: draw it again."))
    return {
        "picture": picture,
        "sha256": hashlib.sha256(picture).hexdigest(),
        "strokes": strokes,
        "strokes_sha256": hashlib.sha256(canonical.dumps(strokes)).hexdigest(),
    }


# --- what follows ------------------------------------------------------------------------------


def report(case: Case, text: str, now: datetime) -> int:
    """The finding that an inspection hands over; its number."""
    enterprise = case.enterprise
    with translation.override("zh-hans"):
        title = _("Problems found in an inspection: %s") % enterprise.name
    finding, _created = notice(
        kind="patrol",
        episode=f"inspection/{case.pk}",
        title=title,
        region=case.region_id,
        enterprise=enterprise,
        longitude=enterprise.longitude,
        latitude=enterprise.latitude,
        began=min(selectors.record_of(case).at, now),
        ended=now,
        facts={"inspection": case.pk, "said": text[:1000], "record": case.detail["record"]},
    )
    return finding.pk
