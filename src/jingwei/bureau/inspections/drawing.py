"""Everything that writes draws: draft, freeze, seed, run, void. Each act leaves its evidence entry.

The rules themselves (tickets, quotas, teams) are `jingwei.evidence.draw`, which is published with
every draw; here stand the rows around it and who may do what when.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from jingwei.bureau.access import may
from jingwei.bureau.cases.errors import Refused
from jingwei.bureau.evidencelog.services import record
from jingwei.bureau.inspections import draw_selectors as selectors
from jingwei.bureau.inspections.models import Draw, DrawStep, Party, Recusal, Unit
from jingwei.evidence import beacon
from jingwei.evidence import draw as rules

# drand's quicknet (https://docs.drand.love): its chain hash, genesis (POSIX) and period (seconds).
CHAIN = "52db9ba70e0cc0f6eaf7803dd07447a1f5477735fd3f661792ba94600c84e971"
GENESIS, PERIOD = 1692803367, 3
MIN_SOURCES = 2  # independent ones, so that nobody who holds one holds the seed
VERIFIER = Path(rules.__file__)


def _manager(user: Any) -> None:
    if not may(user, "draw.manage"):
        raise Refused(_("Your role may not do this."))


def _locked(draw: Draw | int, *states: str) -> Draw:
    pk = draw if isinstance(draw, int) else draw.pk
    row = Draw.objects.select_for_update().get(pk=pk)
    if row.state not in states:
        raise Refused(
            _("The draw is now “%(state)s”: this is not possible any more.")
            % {"state": row.get_state_display()}
        )
    return row


def _step(
    draw: Draw,
    act: str,
    content: Mapping[str, Any],
    *,
    now: datetime,
    user: Any,
    text: str = "",
    said: Mapping[str, str] | None = None,
) -> DrawStep:
    entry = record(
        "draw",
        f"draw:{draw.name}",
        {"draw": draw.name, "act": act, **content},
        actor=str(user.pk) if user else "",
        said=said,
    )
    return DrawStep.objects.create(draw=draw, act=act, text=text[:300], at=now, evidence=entry)


# --- the draft ---------------------------------------------------------------------------------


@transaction.atomic
def create(
    user: Any, data: Mapping[str, Any], *, replaces: Draw | None = None, now: datetime | None = None
) -> Draw:
    """A draft. `data`: purpose, region, industries, team, load, sources (see `_source` of the
    rules, parties with names alone), parties (names). Raises `Refused`."""
    _manager(user)
    now = now or timezone.now()
    lists = {
        "region": data.get("region") or "",
        "industries": list(data.get("industries") or []),
        "excluded": {},
        "ratios": {},
        "team": int(data["team"]),
        "load": int(data["load"]),
    }
    reason = ""
    if replaces is not None:
        replaces = _locked(replaces, Draw.State.DRAWN, Draw.State.PUBLISHED, Draw.State.VOID)
        reason = str(data.get("reason") or "").strip()
        if not reason:
            raise Refused(_("A redraw wants its reason."))
        if not replaces.plan_sha256:
            raise Refused(_("This draw was never frozen: simply plan a new one."))
        if Draw.objects.filter(replaces=replaces).exists():
            raise Refused(_("This draw was repeated already."))
        old = replaces.lists
        lists |= {"excluded": old.get("excluded", {}), "ratios": old.get("ratios", {})}
    draw = Draw.objects.create(
        name=data.get("name") or next_name(now),
        purpose=data["purpose"],
        lists=lists,
        sources=list(data["sources"]),
        values=[None] * len(data["sources"]),
        replaces=replaces,
        reason=reason,
        created=now,
        by=user,
    )
    for name in data.get("parties") or []:
        Party.objects.create(draw=draw, name=name)
    return draw


def next_name(now: datetime) -> str:
    """`SJ-20261121-1`: the local day and the next number of it."""
    prefix = f"SJ-{timezone.localtime(now):%Y%m%d}-"
    numbers = [
        int(name.removeprefix(prefix))
        for name in Draw.objects.filter(name__startswith=prefix).values_list("name", flat=True)
        if re.fullmatch(r"[0-9]{1,6}", name.removeprefix(prefix))
    ]
    return f"{prefix}{max(numbers, default=0) + 1}"


@transaction.atomic
def set_ratios(user: Any, draw: Draw, ratios: Mapping[str, tuple[int, int]]) -> None:
    """By stratum: how many per cent are drawn, and how many at least."""
    _manager(user)
    row = _locked(draw, Draw.State.DRAFT)
    for percent, minimum in ratios.values():
        if not 0 <= percent <= 100 or not 0 <= minimum <= 100_000:
            raise Refused(_("A ratio is from 0 to 100 per cent, a minimum from 0."))
    row.lists["ratios"] = {name: [int(p), int(m)] for name, (p, m) in ratios.items()}
    row.save(update_fields=["lists"])


@transaction.atomic
def exclude(user: Any, draw: Draw, uscc: str, reason: str) -> None:
    """Leave a unit out, with the reason; without one it comes back."""
    _manager(user)
    row = _locked(draw, Draw.State.DRAFT)
    reason = reason.strip()
    if reason:
        if uscc not in {e.uscc for e in selectors.pool(user, row)}:
            raise Refused(_("The enterprise is not on the list."))
        row.lists["excluded"][uscc] = reason[:200]
    else:
        row.lists["excluded"].pop(uscc, None)
    row.save(update_fields=["lists"])


@transaction.atomic
def commit(party: Party, commitment: str, *, now: datetime | None = None) -> None:
    """A party binds itself to a secret that only it knows; once."""
    now = now or timezone.now()
    draw = _locked(party.draw_id, Draw.State.DRAFT)
    party = Party.objects.select_for_update().get(pk=party.pk)
    if not re.fullmatch("[0-9a-f]{64}", commitment):
        raise Refused(_("A commitment has 64 hexadecimal digits."))
    if party.commitment:
        if party.commitment == commitment:
            return
        raise Refused(_("You have committed already; a commitment cannot be changed."))
    if draw.parties.filter(commitment=commitment).exists():
        raise Refused(_("Another party has the same commitment: make a secret of your own."))
    party.commitment, party.committed = commitment, now
    party.save(update_fields=["commitment", "committed"])
    _step(
        draw,
        DrawStep.Act.COMMIT,
        {"party": party.pk, "commitment": commitment},
        now=now,
        user=None,
        text=party.name,
        said={"name": party.name},
    )


# --- freeze ------------------------------------------------------------------------------------


@transaction.atomic
def freeze(user: Any, draw: Draw, *, now: datetime | None = None) -> Draw:
    """Make the plan and log its hash: from here on nothing of it changes."""
    _manager(user)
    now = (now or timezone.now()).astimezone(UTC).replace(microsecond=0)
    row = _locked(draw, Draw.State.DRAFT)
    parties = list(row.parties.all())
    silent = [p.name for p in parties if not p.commitment]
    if silent:
        raise Refused(_("These parties have not committed yet: %s") % "、".join(silent))
    if len(row.sources) < MIN_SOURCES:
        raise Refused(_("The seed wants at least two independent sources."))
    lists = row.lists
    units = list(selectors.pool(user, row))
    strata = selectors.strata(units, lists["ratios"])
    drawn = sum(s.quota for s in selectors.strata(units, lists["ratios"], lists["excluded"]))
    if not drawn:
        raise Refused(_("By these ratios nothing would be drawn."))
    staff = selectors.inspectors()
    recusals = recusals_of(staff, units)
    team, load = lists["team"], lists["load"]
    _feasible(units, lists["excluded"], staff, recusals, team, load, drawn)
    try:
        plan = rules.freeze(
            row.name,
            purpose=row.purpose,
            frozen=utc(now),
            units=[{"code": e.uscc, "stratum": selectors.stratum(e)} for e in units],
            strata=[
                {"name": s.name, "numerator": s.percent, "denominator": 100, "minimum": s.minimum}
                for s in strata
            ],
            sources=[_with_parties(source, parties) for source in row.sources],
            excluded=[
                {"code": e.uscc, "reason": lists["excluded"][e.uscc]}
                for e in units
                if e.uscc in lists["excluded"]
            ],
            inspectors=[i.code for i in staff] if team else [],
            recusals=recusals if team else [],
            team=team,
            load=load if team else 0,
            replaces=_replaced(row),
        )
    except rules.DrawError as error:
        raise Refused(_("The plan cannot be frozen: %s") % error) from None
    row.plan, row.plan_sha256 = plan, rules.plan_hash(plan)
    row.state, row.frozen = Draw.State.FROZEN, now
    row.verifier = VERIFIER.read_text(encoding="utf-8")
    row.save()
    Unit.objects.bulk_create([Unit(draw=row, uscc=e.uscc) for e in units], batch_size=1000)
    replaces = plan["replaces"]
    _step(
        row,
        DrawStep.Act.FREEZE,
        {
            "plan_sha256": row.plan_sha256,
            "units": len(units),
            # The reason stands in the plan, whose hash this is.
            "replaces": replaces and {k: replaces[k] for k in ("draw", "plan_sha256")},
        },
        now=now,
        user=user,
        text=row.plan_sha256,
    )
    return row


def utc(moment: datetime) -> str:
    """A moment as plans write it: `2026-11-21T03:00:00Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _with_parties(source: Mapping[str, Any], parties: list[Party]) -> dict[str, Any]:
    if source["kind"] != "parties":
        return dict(source)
    named = [{"name": p.name, "commitment": p.commitment} for p in parties]
    return {**source, "parties": sorted(named, key=lambda p: p["name"])}


def _replaced(row: Draw) -> dict[str, str] | None:
    old = row.replaces
    if old is None:
        return None
    return {"draw": old.name, "plan_sha256": old.plan_sha256, "reason": row.reason}


def recusals_of(staff: list[Any], units: list[Any]) -> list[dict[str, str]]:
    """Who may not inspect what: recorded recusals, missing qualification, outside the jurisdiction.

    The reasons are published, so they are categories in the language of the office.
    """
    from django.utils import translation

    with translation.override("zh-hans"):
        unqualified, elsewhere = _("not qualified for the industry"), _("outside the jurisdiction")
        reasons = {
            (r.inspector_id, r.enterprise_id): str(r.get_reason_display())
            for r in Recusal.objects.filter(inspector__in=staff)
        }
    found = []
    for inspector in staff:
        areas = inspector.user.areas()
        for unit in units:
            reason = reasons.get((inspector.pk, unit.pk))
            if reason is None and areas is not None and unit.region_id not in areas:
                reason = elsewhere
            if reason is None and inspector.qualifications:
                reason = None if unit.industry in inspector.qualifications else unqualified
            if reason is not None:
                found.append({"inspector": inspector.code, "unit": unit.uscc, "reason": reason})
    return found


def _feasible(
    units: list[Any],
    excluded: Mapping[str, str],
    staff: list[Any],
    recusals: list[dict[str, str]],
    team: int,
    load: int,
    drawn: int,
) -> None:
    """Refuse what can be seen beforehand to leave a unit without a team."""
    if not team:
        return
    if drawn * team > len(staff) * load:
        raise Refused(
            _(
                "%(drawn)d units with %(team)d inspectors each are more than %(staff)d inspectors"
                " with %(load)d units each can do: raise the load or lower the ratios."
            )
            % {"drawn": drawn, "team": team, "staff": len(staff), "load": load}
        )
    barred: dict[str, int] = {}
    for item in recusals:
        barred[item["unit"]] = barred.get(item["unit"], 0) + 1
    for unit in units:
        if unit.uscc not in excluded and len(staff) - barred.get(unit.uscc, 0) < team:
            raise Refused(
                _(
                    "%(name)s has fewer than %(team)d inspectors who may inspect it: add inspectors"
                    " to the pool, or exclude it with this reason."
                )
                % {"name": unit.name, "team": team}
            )


# --- the seed ----------------------------------------------------------------------------------


@transaction.atomic
def enter_value(
    user: Any, draw: Draw, index: int, value: Any, *, now: datetime | None = None
) -> None:
    """The value of a lottery or of a drand round, once its time has come; once."""
    _manager(user)
    now = now or timezone.now()
    row = _locked(draw, Draw.State.FROZEN)
    sources = row.plan["sources"]
    if not 0 <= index < len(sources) or sources[index]["kind"] == "parties":
        raise Refused(_("There is no such source."))
    source = sources[index]
    if now < when(source):
        raise Refused(_("The value of this source cannot be known before its time."))
    if row.values[index] is not None:
        if row.values[index] == value:
            return
        raise Refused(_("The value of this source is entered already."))
    if source["kind"] == "numbers" and not source["ordered"] and isinstance(value, list):
        value = sorted(value)
    try:
        rules.seed_key({**row.plan, "sources": [source]}, [value])
    except rules.DrawError as error:
        raise Refused(_("The value does not fit its source: %s") % error) from None
    checked: dict[str, bool] = {}
    if source["kind"] == "drand":
        try:
            beacon.verify(source["chain"], value["round"], bytes.fromhex(value["signature"]))
            checked = {"checked": True}
        except beacon.NotInstalledError:
            checked = {"checked": False}
        except beacon.BeaconError:
            raise Refused(
                _(
                    "The drand network did not sign this: copy round %s again from the network's"
                    " own page."
                )
                % source["round"]
            ) from None
    row.values[index] = value
    row.save(update_fields=["values"])
    _step(
        row,
        DrawStep.Act.VALUE,
        {"source": index, "name": source["name"], "value": value, **checked},
        now=now,
        user=user,
        text=source["name"],
    )


@transaction.atomic
def reveal(party: Party, secret: str, *, now: datetime | None = None) -> None:
    """A party opens its commitment, after the freeze and before the reveals end."""
    now = now or timezone.now()
    row = _locked(party.draw_id, Draw.State.FROZEN)
    party = Party.objects.select_for_update().get(pk=party.pk)
    source = next(s for s in row.plan["sources"] if s["kind"] == "parties")
    if party.secret:
        return
    try:
        right = rules.commitment(row.name, party.name, secret) == party.commitment
    except rules.DrawError:
        right = False
    if not right:
        raise Refused(_("This is not the secret that you committed to."))
    if now >= when(source):
        raise Refused(_("The time for revealing is over."))
    party.secret, party.revealed = secret, now
    party.save(update_fields=["secret", "revealed"])
    _step(
        row,
        DrawStep.Act.REVEAL,
        {"party": party.pk, "commitment": party.commitment},
        now=now,
        user=None,
        text=party.name,
        said={"name": party.name},
    )


def when(source: Mapping[str, Any]) -> datetime:
    """When the value of a source becomes known."""
    return datetime.strptime(source["time"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def drand_source(after: datetime, missing: str = "without") -> dict[str, Any]:
    """The first round of quicknet at or after a moment, as a source."""
    number = max(1, -(-(int(after.timestamp()) - GENESIS) // PERIOD) + 1)
    emitted = datetime.fromtimestamp(GENESIS, UTC) + timedelta(seconds=(number - 1) * PERIOD)
    return {
        "kind": "drand",
        "name": f"drand quicknet {number}",
        "time": utc(emitted),
        "missing": missing,
        "chain": CHAIN,
        "genesis": GENESIS,
        "period": PERIOD,
        "round": number,
    }


# --- the result --------------------------------------------------------------------------------


def values(draw: Draw) -> list[Any]:
    """The values of all sources in the plan's order, secrets of the parties put in."""
    found = list(draw.values)
    for i, source in enumerate(draw.plan["sources"]):
        if source["kind"] == "parties":
            found[i] = {p.name: p.secret for p in draw.parties.all() if p.secret} or None
    return found


@transaction.atomic
def run(user: Any, draw: Draw, *, now: datetime | None = None) -> Draw:
    """Draw, when every source's time has come; the hashes of all files are logged.

    Raises `Refused`, with what is missing.
    """
    _manager(user)
    now = now or timezone.now()
    row = _locked(draw, Draw.State.FROZEN)
    sources = row.plan["sources"]
    for i, source in enumerate(sources):
        if now < when(source):
            raise Refused(_("%s: its time has not come yet.") % source["name"])
        waited = when(source) + timedelta(days=1)
        if source["kind"] != "parties" and row.values[i] is None and now < waited:
            raise Refused(
                _("%s: enter its value first; it counts as missing one day after its time.")
                % source["name"]
            )
    try:
        result = rules.run(row.plan, values(row))
    except rules.DrawError as error:
        raise Refused(
            _("The draw cannot be made: %s. Declare it void and draw anew.") % error
        ) from None
    row.result, row.state, row.drawn = result, Draw.State.DRAWN, now
    row.listing = selectors.listing(row)
    row.save()
    chosen = [item["code"] for item in result["selected"]]
    row.units.filter(uscc__in=chosen).update(selected=True)
    files = selectors.files(row)
    _step(
        row,
        DrawStep.Act.RUN,
        {
            "plan_sha256": row.plan_sha256,
            "selected": len(chosen),
            "manifest_sha256": hashlib.sha256(files[rules.MANIFEST]).hexdigest(),
        },
        now=now,
        user=user,
    )
    return row


@transaction.atomic
def publish(user: Any, draw: Draw, *, now: datetime | None = None) -> None:
    """Show lists, secrets, tickets and result to everybody. Before, only their hashes are public."""
    _manager(user)
    now = now or timezone.now()
    row = _locked(draw, Draw.State.DRAWN)
    row.state, row.published = Draw.State.PUBLISHED, now
    row.save(update_fields=["state", "published"])
    _step(
        row,
        DrawStep.Act.PUBLISH,
        {"plan_sha256": row.plan_sha256, "seed": row.result["seed"]},
        now=now,
        user=user,
    )


@transaction.atomic
def void(user: Any, draw: Draw, reason: str, *, now: datetime | None = None) -> None:
    """Give a draw up, with the reason; what was published of it stays."""
    _manager(user)
    now = now or timezone.now()
    row = _locked(draw, Draw.State.DRAFT, Draw.State.FROZEN)
    reason = reason.strip()[:300]
    if not reason:
        raise Refused(_("Give the reason."))
    row.state = Draw.State.VOID
    row.save(update_fields=["state"])
    _step(
        row,
        DrawStep.Act.VOID,
        {"plan_sha256": row.plan_sha256},
        now=now,
        user=user,
        text=reason,
        said={"reason": reason},
    )
