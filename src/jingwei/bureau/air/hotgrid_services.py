"""Hot grids and the effects of responses: take satellite scenes, ask, compute beside the worker's other
work, keep, raise findings."""

from __future__ import annotations

import hashlib
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from django.db import transaction
from django.db.models import Max, Q
from django.utils import timezone
from django.utils.translation import gettext as _

from jingwei.analysis.air import satellite
from jingwei.analysis.air.field.tables import FieldError
from jingwei.bureau.access import may
from jingwei.bureau.air import beside, effects, hotgrids
from jingwei.bureau.air.models import (
    Episode,
    EpisodeEffect,
    Gas,
    HotCell,
    HotGrid,
    SatelliteScene,
    State,
)
from jingwei.bureau.air.tracing import RefusedError
from jingwei.bureau.evidencelog.services import record
from jingwei.bureau.findings.kinds import SCENARIOS
from jingwei.bureau.findings.models import Finding, Kind
from jingwei.bureau.findings.services import Refused, notice
from jingwei.bureau.monitoring.observations import day_start
from jingwei.bureau.registry.models import Point, Region
from jingwei.evidence import canonical, digest

QUIET = timedelta(minutes=10)  # after the last scene came in: more of them may follow
FINE = 500  # m
FINE_FIELDS = ("name", "group", "longitude", "latitude", "p", "q", "strength", "layers")
LARGEST = 2 * 1024**3  # bytes of a file of a satellite

_beside = beside.Beside("hotgrid")


# ---- satellite scenes ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Seen:
    """A scene, its columns in the city's cells, and how many of them were seen."""

    scene: satellite.Scene
    values: Any
    seen: int


@dataclass(frozen=True)
class Look:
    """What a file shows of the city: scenes, and a sentence for each that is left out."""

    name: str
    sha256: str
    city: hotgrids.City
    found: list[Seen]
    left: list[str]


def look(
    source: Path, *, names: dict[str, str] | None = None, time: datetime | None = None
) -> Look:
    """Read a file without keeping anything of it.

    Raises FieldError where the file cannot be used or shows nothing of the city, RefusedError
    `boundary` where no district has a boundary.
    """
    city = hotgrids.city()
    try:
        size = source.stat().st_size
    except OSError as error:
        raise FieldError(
            _("%(file)s: cannot be read (%(why)s).") % {"file": source.name, "why": error.strerror}
        ) from error
    if size > LARGEST:
        raise FieldError(
            _("%(file)s: is larger than 2 GB: cut out the city first.") % {"file": source.name}
        )
    made = hashlib.sha256()
    scenes = satellite.read(source, names=names, time=time)
    with source.open("rb") as f:
        while chunk := f.read(1024**2):
            made.update(chunk)
    grid, inside = city.grid, city.inside
    found, left = [], []
    for scene in scenes:
        x, y = grid.plane.to(scene.longitude, scene.latitude)
        values = satellite.on_cells(scene, x, y, grid.centres(), grid.size)
        seen = int((np.isfinite(values) & inside).sum())
        if not seen:
            left.append(_unseen(source, scene, city))
        elif scene.time > timezone.now() + timedelta(days=1):
            about = {
                "file": source.name,
                "gas": Gas(scene.gas).label,
                "time": f"{scene.time:%Y-%m-%d %H:%M}",
            }
            left.append(_("%(file)s: %(gas)s says that it was taken at %(time)s UTC: that has not come yet.") % about)  # fmt: skip
        else:
            found.append(Seen(scene, values, seen))
    if not found:
        raise FieldError(left[0])
    return Look(source.name, made.hexdigest(), city, found, left)


@transaction.atomic
def take(looked: Look, user: Any = None) -> list[SatelliteScene]:
    """Keep all scenes of a look, or none; those that are known already stay as they are."""
    return [_keep_scene(s.scene, s.values, s.seen, looked, user) for s in looked.found]


def take_scenes(
    source: Path,
    *,
    names: dict[str, str] | None = None,
    time: datetime | None = None,
    user: Any = None,
) -> tuple[list[SatelliteScene], list[str]]:
    """Look at a file and keep what it shows: scenes, and the sentences on what was left out. Raises as
    `look`."""
    looked = look(source, names=names, time=time)
    return take(looked, user), looked.left


def _unseen(source: Path, scene: satellite.Scene, city: hotgrids.City) -> str:
    lon, lat = (a[city.inside] for a in city.grid.places())
    x, y = scene.longitude, scene.latitude
    with np.errstate(invalid="ignore"):
        over = (x >= lon.min()) & (x <= lon.max()) & (y >= lat.min()) & (y <= lat.max())
    about = {"file": source.name, "gas": Gas(scene.gas).label, "day": f"{scene.time:%Y-%m-%d}"}
    if over.any():
        return _("%(file)s: %(gas)s of %(day)s shows no cell of the city: all its pixels there are cloudy, of poor quality or empty.") % about  # fmt: skip
    about |= {
        "west": f"{np.nanmin(x):.1f}", "east": f"{np.nanmax(x):.1f}",
        "south": f"{np.nanmin(y):.1f}", "north": f"{np.nanmax(y):.1f}",
        "city": f"{lon.min():.1f}–{lon.max():.1f}°, {lat.min():.1f}–{lat.max():.1f}°",
    }  # fmt: skip
    return _("%(file)s: %(gas)s of %(day)s covers %(west)s to %(east)s° east, %(south)s to %(north)s° north; the city lies at %(city)s.") % about  # fmt: skip


def _keep_scene(
    scene: satellite.Scene, values: Any, seen: int, looked: Look, user: Any
) -> SatelliteScene:
    sha256, city = looked.sha256, looked.city
    rows = [None if v != v else float(f"{v:.4g}") for v in values.ravel().tolist()]
    row, created = SatelliteScene.objects.get_or_create(
        sha256=sha256, gas=scene.gas, taken=scene.time,
        defaults={
            "day": timezone.localtime(scene.time).date(), "source": scene.source,
            "name": looked.name[:200], "synthetic": scene.synthetic, "notes": list(scene.notes),
            "actor": user if getattr(user, "pk", None) else None,
            "grid": hotgrids.told(city.grid), "values": rows, "seen": seen,
            "cells": int(city.inside.sum()),
        },
    )  # fmt: skip
    if created:
        row.evidence = record(
            "satellite", f"satellite-scene:{row.pk}",
            {"gas": row.gas, "taken": row.taken, "source": row.source, "sha256": sha256,
             "synthetic": row.synthetic, "values": digest.both(canonical.dumps(rows))},
            actor=str(row.actor_id or ""),
        )  # fmt: skip
        row.save(update_fields=["evidence"])
    return row


# ---- asked for ----------------------------------------------------------------------------------


def ask(now: datetime, user: Any = None, region: Region | None = None) -> HotGrid:
    """A run over the days up to yesterday, of the city or of a region's 500 m alone; one that still waits
    is not asked twice."""
    last = timezone.localtime(now).date() - timedelta(days=1)
    with transaction.atomic():
        known = HotGrid.objects.filter(state=State.WAITING, region=region).first()
        return known or HotGrid.objects.create(
            region=region, first=last - timedelta(days=hotgrids.DAYS - 1), last=last, asked=now,
            actor=user if getattr(user, "pk", None) else None,
        )  # fmt: skip


def ask_effect(episode: Episode) -> EpisodeEffect:
    """What a response changed; one that was not possible is tried anew."""
    with transaction.atomic():
        row, _made = EpisodeEffect.objects.get_or_create(episode=episode)
        if row.state == State.REFUSED:
            row.state, row.reason, row.started, row.finished = State.WAITING, "", None, None
            row.save(update_fields=["state", "reason", "started", "finished"])
        return row


def due(now: datetime) -> bool:
    """Whether the hot grids are to be computed anew: there is something to compute them from, and no
    run yet, none this month, or new scenes since."""
    newest = HotGrid.objects.filter(region=None).only("state", "asked").first()  # without its cells
    came = SatelliteScene.objects.aggregate(at=Max("received"))["at"]
    if newest is None:
        stations = Point.objects.filter(kind=Point.Kind.AIR_STATION, enabled=True)
        return bool(came) or stations.count() >= round(1 / hotgrids.SHARE)
    if newest.state == State.WAITING:
        return False
    here, then = timezone.localtime(now), timezone.localtime(newest.asked)
    if (here.year, here.month) != (then.year, then.month):
        return True
    return came is not None and came > newest.asked and now - came > QUIET


# ---- the worker ---------------------------------------------------------------------------------


def work(now: datetime) -> None:
    """Take up what is ready; else begin what is due."""
    _beside.work(now, _begin)


def run_now(user: Any = None, region: Region | None = None) -> HotGrid:
    """Compute here and now (the command line)."""
    row = ask(timezone.now(), user, region)
    beside.here(row, _run(row))
    return row


def effect_now(episode: Episode) -> EpisodeEffect:
    row = ask_effect(episode)
    if row.state != State.DONE:
        beside.here(row, _effect(row))
    return row


def _begin(now: datetime) -> tuple[Any, beside.Begun] | None:
    if due(now):
        ask(now)
    if (row := beside.take(HotGrid.objects.all(), now)) is not None:
        return row, _run(row)
    over = timezone.localtime(now).date()
    for episode in Episode.objects.filter(state=Episode.State.ENDED, effect=None, last__lt=over):
        ask_effect(episode)
    if (row := beside.take(EpisodeEffect.objects.all(), now)) is not None:
        return row, _effect(row)
    return None


def _run(row: HotGrid) -> beside.Begun:
    try:
        question = hotgrids.question(row)
    except RefusedError as error:
        return beside.refused(error), lambda end: _kept(row.pk, end)
    return lambda: hotgrids.compute(question), lambda end: _kept(row.pk, end)


def _effect(row: EpisodeEffect) -> beside.Begun:
    question = effects.question(row.episode)
    return lambda: effects.compute(question), lambda end: _told(row.pk, end)


def _result(kind: Any, pk: int, end: Future[Any]) -> dict[str, Any] | None:
    """What was computed; None where it was not possible, which is written down."""
    try:
        found: dict[str, Any] = end.result()
    except RefusedError as error:
        _refuse(kind, pk, str(error))
        return None
    except Exception:
        _refuse(kind, pk, "error")
        raise
    return found


def _refuse(kind: Any, pk: int, reason: str) -> None:
    kind.objects.filter(pk=pk, state=State.WAITING).update(
        state=State.REFUSED, reason=reason[:300], finished=timezone.now()
    )


def _kept(pk: int, end: Future[Any]) -> None:
    found = _result(HotGrid, pk, end)
    if found is None:
        return
    with transaction.atomic():
        row = HotGrid.objects.select_for_update().get(pk=pk)
        if row.state != State.WAITING:
            return
        entry = record(
            "hotgrid", f"hotgrid:{pk}",
            {"first": row.first.isoformat(), "last": row.last.isoformat(),
             "input": found["digest"], "result": digest.both(canonical.dumps(found))},
            actor=str(row.actor_id or ""),
        )  # fmt: skip
        rows = found.pop("cells")
        HotCell.objects.bulk_create(
            HotCell(run=row, region_id=r["region"], **{k: v for k, v in r.items() if k != "region"})
            for r in rows
        )
        HotCell.objects.bulk_create(
            HotCell(run=row, region_id=r["region"], size=FINE, **{k: r[k] for k in FINE_FIELDS})
            for r in found["micro"]["cells"]
            if r["hot"]
        )
        told = found.pop("digest")
        HotGrid.objects.filter(pk=pk).update(
            state=State.DONE, result=found, digest=told, evidence=entry, finished=timezone.now()
        )
        _still_open(row)


def _still_open(run: HotGrid) -> None:
    """A cell whose finding, or the one into which that was merged, is still open goes on with it: the
    finding then lasts to this run."""
    going_on = Q(finding__state__in=OPEN) | Q(finding__merged_into__state__in=OPEN)
    for cell in run.cells.all():
        known = (
            HotCell.objects.filter(going_on, name=cell.name, size=cell.size)
            .exclude(run=run)
            .select_related("finding")
            .order_by("-run__asked")
            .first()
        )
        if known is not None and known.finding is not None:
            cell.finding = known.finding
            cell.save(update_fields=["finding"])
            _notice(cell, known.finding.episode, None, known.finding.kind)


def _told(pk: int, end: Future[Any]) -> None:
    found = _result(EpisodeEffect, pk, end)
    if found is None:
        return
    with transaction.atomic():
        row = EpisodeEffect.objects.select_for_update().get(pk=pk)
        if row.state != State.WAITING:
            return
        told = found.pop("digest")
        entry = record(
            "episode.effect", f"episode:{row.episode_id}",
            {"input": told, "result": digest.both(canonical.dumps(found))},
        )  # fmt: skip
        EpisodeEffect.objects.filter(pk=pk).update(
            state=State.DONE, result=found, digest=told, evidence=entry, finished=timezone.now()
        )


# ---- findings -----------------------------------------------------------------------------------

OPEN = (Finding.State.NEW, Finding.State.IN_CASE)


def raise_finding(user: Any, pk: int) -> Finding:
    """The finding of a hot cell; the same one where it was raised before. Raises `Refused`,
    `HotCell.DoesNotExist`."""
    if not may(user, "finding.file"):
        raise Refused(_("Your role may not file findings."))
    with transaction.atomic():
        cell = (
            HotCell.objects.restrict(user, "finding.file")
            .select_for_update(of=("self",))
            .get(pk=pk)
        )
        if cell.finding is not None:
            return cell.finding
        fine = f"/{FINE}m" if cell.size == FINE else ""
        finding = _notice(cell, f"hotgrid/{cell.run_id}/{cell.name}{fine}", user)
        cell.finding = finding
        cell.save(update_fields=["finding"])
        return finding


def _notice(cell: HotCell, episode: str, user: Any, known: str = "") -> Finding:
    """`known`: the kind of the finding that goes on; facts of another kind are not put into it."""
    kind, facts = _facts(cell)
    if known and known != kind:
        kind, facts = known, {}
    best = min(cell.layers.values(), key=lambda a: a["p"])
    finding, _created = notice(
        kind=kind,
        episode=episode,
        title=(
            _("Hot 500 m cell %(name)s, %(region)s")
            if cell.size == FINE
            else _("Hot grid cell %(name)s, %(region)s")
        )
        % {"name": cell.name, "region": cell.region.label},
        region=cell.region,
        longitude=cell.longitude,
        latitude=cell.latitude,
        began=day_start(cell.run.first),
        ended=day_start(cell.run.last + timedelta(days=1)) - timedelta(seconds=1),
        severity=2 if len({name.split()[0] for name in _strong(cell)}) > 1 else 1,
        facts=facts,
        innocent=[str(s) for s in SCENARIOS[kind].innocent],
        next_check=str(SCENARIOS[kind].check),
        confidence=_confidence(cell, best),
        filed_by=user,
    )
    return finding


def _confidence(cell: HotCell, best: dict[str, Any]) -> str:
    text = _("False discovery rate %(q)s; high on %(high)d of %(seen)d days") % {
        "q": f"{cell.q:.2g}", "high": best["high"], "seen": best["seen"],
    }  # fmt: skip
    if "excess" in best:
        text += _("; %(excess).0f (95 %%: %(low).0f to %(upper).0f) µg/m³ above the micro-stations around it in %(hours)d hours, calibrated against the standard stations, indicative") % best  # fmt: skip
    return text


def _strong(cell: HotCell) -> list[str]:
    """The layers that alone are significant, the surest first."""
    rows = [(v["p"], k) for k, v in cell.layers.items() if v["p"] <= hotgrids.RATE]
    return [k for _p, k in sorted(rows)] or [min(cell.layers, key=lambda k: cell.layers[k]["p"])]


def _facts(cell: HotCell) -> tuple[str, dict[str, Any]]:
    """A satellite's finding where one is among the layers that say so, else that of an air hot spot."""
    size = float(cell.size)
    strong = _strong(cell)
    seen = next((k for k in strong if k.startswith("satellite")), None)
    if seen is not None:
        gas = seen.split()[1]
        row = cell.layers[seen]
        source = (
            SatelliteScene.objects.filter(gas=gas, day__gte=cell.run.first, day__lte=cell.run.last)
            .values_list("source", flat=True)
            .first()
        )
        return Kind.SATELLITE.value, {
            "gas": gas, "satellite": source or Gas(gas).label, "value": row["value"],
            "background": row["background"], "unit": "μmol/m²", "cell_m": size,
        }  # fmt: skip
    name = strong[0]
    row = cell.layers[name]
    factor = {"PM2.5": "a34004", "PM10": "a34002", "NO2": "a21004", "SO2": "a21026"}[
        name.split()[1]
    ]
    return Kind.AIR_HOTSPOT.value, {
        "factor": factor, "value": row["value"], "background": row["background"],
        "unit": "μg/m³", "extent_m": size,
    }  # fmt: skip
