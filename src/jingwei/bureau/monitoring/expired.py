"""Permits that expired while their outlets go on sending: a finding of its own, once a local day.

To discharge after the end of a permit without an extension is an offence of its own (Regulation on
discharge permits, art. 33 (2)); an extension that was applied for in time and not decided counts as
granted (Administrative Licensing Law, art. 50). What was last permitted is applied meanwhile
(`registry.force`); a finding accuses nobody.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta

from django.db import transaction
from django.db.models import F
from django.utils import translation
from django.utils.translation import gettext as _

from jingwei.bureau.findings.models import Finding, Kind
from jingwei.bureau.findings.services import notice
from jingwei.bureau.monitoring.models import Cursor, TransmissionDay
from jingwei.bureau.monitoring.observations import day_start, local_day
from jingwei.bureau.registry import force
from jingwei.bureau.registry.models import Permit, PermitAmount, PermitLimit

NAME = "permits-expired"
EPISODE = "permit-expired/"


@transaction.atomic
def look(now: datetime) -> int:
    """Look once a local day; how many findings are new."""
    today = local_day(now)
    cursor, _created = Cursor.objects.select_for_update().get_or_create(name=NAME)
    if cursor.counts.get("day") == today.isoformat():
        return 0
    cursor.counts = {"day": today.isoformat()}
    cursor.save(update_fields=["counts"])
    permits = Permit.objects.select_related("enterprise").prefetch_related("versions")
    made = 0
    with translation.override("zh-hans"):  # a record, written in the language of the office
        for permit in permits.filter(valid_to__lt=today).order_by("pk"):
            if not force.valid_on(permit, today) and _applied(permit, today):
                made += _notice(permit)
        for row in Finding.objects.filter(
            episode__startswith=EPISODE, state__in=(Finding.State.NEW, Finding.State.IN_CASE)
        ):
            found = permits.filter(number=row.facts["permit"]).first()
            if found is not None and force.valid_on(found, local_day(row.began)):
                _extended(row)
    return made


def _applied(permit: Permit, day: date) -> bool:
    """Whether anything that the permit permitted is still applied, or the enterprise has no other."""
    limits = PermitLimit.objects.filter(outlet__enterprise=permit.enterprise_id)
    amounts = PermitAmount.objects.filter(permit__enterprise=permit.enterprise_id)
    rows = [
        *(r for r in force.applied(force.on(limits, day), day) if not r.assumed),
        *force.amounts(amounts, day),
    ]
    others = Permit.objects.filter(
        enterprise=permit.enterprise_id, valid_from__lte=day, valid_to__gt=permit.valid_to
    )
    return any(r.permit_id == permit.pk for r in rows) or not others.exists()


def _notice(permit: Permit) -> int:
    """The finding of one permit, where data came since its end of outlets that did not stand still."""
    enterprise = permit.enterprise
    days = TransmissionDay.objects.filter(
        point__outlet__enterprise=enterprise, day__gt=permit.valid_to, received__gt=0,
        expected__gt=F("stopped"),
    )  # fmt: skip
    dates = sorted(set(days.values_list("day", flat=True)))
    if not dates:
        return 0
    _finding, created = notice(
        kind=Kind.EXCEEDANCE,
        episode=f"{EPISODE}{permit.number}/{permit.valid_to}",
        title=_("%(enterprise)s goes on discharging after its permit expired on %(day)s")
        % {"enterprise": enterprise.name, "day": permit.valid_to},
        region=enterprise.region_id,
        enterprise=enterprise,
        longitude=enterprise.longitude,
        latitude=enterprise.latitude,
        began=day_start(permit.valid_to + timedelta(days=1)),
        ended=day_start(dates[-1] + timedelta(days=1)),
        facts={
            "permit": permit.number,
            "expired": permit.valid_to.isoformat(),
            "days_with_data": len(dates),
        },
        innocent=[
            _("The extension was applied for in time and not decided: then it counts as granted (Administrative Licensing Law, art. 50)."),
            _("The permit was extended or replaced, and this was not entered here."),
            _("The works stand still and only the monitor sends."),
        ],
        next_check=_("Ask for the application and the decision on the extension; enter it in the permit."),
        confidence=_("From the end of the permit in the file and the days with data; whether an extension is under way is not known here."),
    )  # fmt: skip
    return int(created)


def _extended(row: Finding) -> None:
    """Tell a finding again whose permit was extended since, reaching back."""
    notice(
        kind=row.kind,
        episode=row.episode,
        title=row.title,
        region=row.region_id,
        enterprise=row.enterprise,
        longitude=row.longitude,
        latitude=row.latitude,
        began=row.began,
        ended=row.ended,
        facts=row.facts,
        innocent=row.innocent,
        next_check=_("An extension of the permit was entered that covers these days; verify, then dismiss."),
        confidence=row.confidence,
    )  # fmt: skip
