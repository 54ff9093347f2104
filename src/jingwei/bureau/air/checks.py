"""What `jingwei fsck` asks of this room: are warnings with their reasons, and what was computed
(forecasts, answers of source tracing, effects, apportionments) or received (satellite scenes, samples, profiles), as the evidence log was told?"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from jingwei.bureau.air import dispersion
from jingwei.bureau.air.apportion_services import said_of, said_of_profile
from jingwei.bureau.air.models import (
    Apportionment,
    Dispersion,
    Episode,
    EpisodeEffect,
    Forecast,
    SampleSet,
    SatelliteScene,
    SourceProfile,
    State,
    Trace,
)
from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.bureau.evidencelog.selectors import spoken, told
from jingwei.evidence import canonical, digest


def check() -> Iterator[str]:
    """One sentence a problem."""
    episodes = Episode.objects.select_related("evidence").order_by("pk")
    for row in episodes.iterator(chunk_size=500):
        if problem := _episode(row):
            yield f"warning {row.pk}: {problem}"
    traces = Trace.objects.filter(state=Trace.State.DONE).select_related("evidence", "station")
    for trace in traces.order_by("pk").iterator(chunk_size=50):
        if problem := _trace(trace):
            yield f"source tracing {trace.pk}: {problem}"
    forecasts = Forecast.objects.filter(state=State.DONE).select_related("evidence")
    for forecast in forecasts.order_by("pk").prefetch_related("stations").iterator(chunk_size=10):
        if problem := _forecast(forecast):
            yield f"air forecast {forecast.pk}: {problem}"
    effects = EpisodeEffect.objects.filter(state=State.DONE).select_related("evidence")
    for effect in effects.order_by("pk").iterator(chunk_size=50):
        is_ = {"input": effect.digest, "result": _digests(effect.result)}
        if problem := _differs(effect.evidence, is_):
            yield f"effect of warning {effect.episode_id}: {problem}"
    runs = Dispersion.objects.filter(state=Dispersion.State.DONE).select_related("evidence")
    for run in runs.order_by("pk").iterator(chunk_size=10):
        if problem := _dispersion(run):
            yield f"dispersion {run.pk}: {problem}"
    scenes = SatelliteScene.objects.select_related("evidence").order_by("pk")
    for scene in scenes.iterator(chunk_size=50):
        is_ = {
            "gas": scene.gas, "source": scene.source, "sha256": scene.sha256,
            "synthetic": scene.synthetic, "values": _digests(scene.values),
        }  # fmt: skip
        if problem := _differs(scene.evidence, is_):
            yield f"satellite scene {scene.pk}: {problem}"
    for samples in (
        SampleSet.objects.select_related("evidence").order_by("pk").iterator(chunk_size=10)
    ):
        if problem := _differs(samples.evidence, said_of(samples)):
            yield f"samples {samples.pk}: {problem}"
    for profile in SourceProfile.objects.select_related("evidence").order_by("pk"):
        if problem := _differs(profile.evidence, said_of_profile(profile)):
            yield f"source profile {profile.pk}: {problem}"
    runs = Apportionment.objects.filter(state=State.DONE).select_related("evidence")
    for run in runs.order_by("pk").iterator(chunk_size=10):
        is_ = {
            "samples": run.samples_id, "wanted": _digests(run.wanted), "input": run.digest,
            "result": _digests(run.result),
        }  # fmt: skip
        if problem := _differs(run.evidence, is_):
            yield f"source apportionment {run.pk}: {problem}"


def _episode(row: Episode) -> str:
    """The row against the entry of its last act."""
    is_ = {
        "act": row.state,
        "level": row.level,
        "first": row.first.isoformat(),
        "last": row.last.isoformat(),
    }
    if problem := _differs(row.evidence, is_):
        return problem
    words = {"note": row.note, "end_note": row.end_note}
    entry: EvidenceEntry = row.evidence
    content = told(entry)
    if "facts" in content:  # of before words were salted
        facts = _digests({"days": row.days, **words})
        return "" if facts == content["facts"] else "its days or reasons are not those of the log"
    if _digests(row.days) != content["days"]:
        return "its days are not those that the evidence log names"
    return spoken(entry, words)


def _trace(row: Trace) -> str:
    is_ = {
        "station": row.station.mn,
        "factor": row.factor,
        "input": row.digest,
        "result": _digests(row.result),
    }
    return _differs(row.evidence, is_)


def _dispersion(row: Dispersion) -> str:
    is_ = {
        "factor": row.factor, "input": row.digest, "weather": row.weather, "field": row.field,
        "result": _digests(row.result),
    }  # fmt: skip
    if problem := _differs(row.evidence, is_):
        return problem
    try:
        content = dispersion.place(row.field).read_bytes()
    except OSError:
        return "the file of its field is not in the data folder"
    if hashlib.sha256(content).hexdigest() != row.field:
        return "the file of its field is not the one that the evidence log names"
    return ""


def _forecast(row: Forecast) -> str:
    stations = {str(one.station_id): one.result for one in row.stations.all()}
    is_ = {
        "model": row.model_id,
        "weather": row.weather_id,
        "input": row.digest,
        "result": _digests({"about": row.about, "stations": stations}),
    }
    return _differs(row.evidence, is_)


def _digests(value: Any) -> dict[str, str]:
    return digest.both(canonical.dumps(value))


def _differs(entry: EvidenceEntry | None, is_: dict[str, Any]) -> str:
    """What of a row is not as its entry tells; empty for nothing."""
    if entry is None:
        return "it has no entry in the evidence log"
    content = told(entry)
    for name, value in is_.items():
        if value != content.get(name):
            return f"{name} is {value!r}, but the evidence log says {content.get(name)!r}"
    return ""
