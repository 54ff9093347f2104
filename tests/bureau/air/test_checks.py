"""What `jingwei fsck` says of warnings and answers that are not what the evidence log tells of."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from django.db import transaction

import world as worlds
from jingwei.bureau.air import checks, episodes
from jingwei.bureau.air.models import (
    Episode,
    EpisodeEffect,
    Forecast,
    SatelliteScene,
    State,
    StationForecast,
    Trace,
)
from jingwei.bureau.evidencelog.models import EvidenceEntry
from jingwei.bureau.evidencelog.selectors import in_clear
from jingwei.bureau.evidencelog.services import record
from jingwei.evidence import canonical, digest

DAYS = [
    {"day": f"2026-11-{10 + k}", "aqi": aqi, "primary": ["pm25"], "ahead": 24}
    for k, aqi in enumerate((160, 170))
]


@pytest.fixture
def world(db: None, data: object) -> worlds.World:
    return worlds.build()


@pytest.fixture
def row(world: worlds.World) -> Episode:
    found = episodes.propose(DAYS)
    assert found is not None
    episodes.decide(world.users["dispatcher"], found, True, 2, "同意")
    episodes.end(world.users["dispatcher"], found, "好转")
    return Episode.objects.get(pk=found.pk)


def test_what_was_told_is_found_right_and_not_to_be_guessed(row: Episode) -> None:
    assert list(checks.check()) == []
    for entry in EvidenceEntry.objects.filter(kind="episode"):
        assert entry.salt
        assert not in_clear(entry)
        for note in ("", "同意"):
            for end_note in ("", "好转"):
                facts = {"days": DAYS, "note": note, "end_note": end_note}
                assert digest.both(canonical.dumps(facts))["sha256"] not in entry.content


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"note": "x"}, "note or end_note: not what was said"),
        ({"end_note": ""}, "note or end_note: not what was said"),
        ({"level": 1}, "level is 1, but the evidence log says 2"),
        ({"state": "dismissed"}, "act is 'dismissed'"),
        ({"last": date(2026, 12, 1)}, "last is '2026-12-01'"),
        ({"days": []}, "its days are not those"),
        ({"evidence": None}, "no entry in the evidence log"),
    ],
)
def test_a_changed_warning(row: Episode, change: dict[str, Any], said: str) -> None:
    Episode.objects.update(**change)
    [problem] = checks.check()
    assert problem.startswith(f"warning {row.pk}: ")
    assert said in problem


def test_a_bare_digest_of_before_words_were_salted_still_counts(row: Episode) -> None:
    facts = {"days": DAYS, "note": "同意", "end_note": "好转"}
    content = {
        "act": "ended", "level": 2, "first": row.first, "last": row.last, "forecast": "",
        "facts": digest.both(canonical.dumps(facts)),
    }  # fmt: skip
    with transaction.atomic():
        old = record("episode", f"episode:{row.pk}", content)
    Episode.objects.update(evidence=old)
    assert in_clear(old)
    assert list(checks.check()) == []
    Episode.objects.update(note="x")
    assert list(checks.check()) == [
        f"warning {row.pk}: its days or reasons are not those of the log"
    ]


def test_a_changed_answer_of_source_tracing(world: worlds.World) -> None:
    at = datetime(2026, 11, 20, tzinfo=UTC)
    result = {"sources": [{"outlet": 1, "share": 0.25}]}
    with transaction.atomic():
        entry = record(
            "trace", "trace:1",
            {"station": world.station.mn, "factor": "a34004", "start": at, "end": at, "input": "ab" * 32,
             "result": digest.both(canonical.dumps(result))},
        )  # fmt: skip
    row = Trace.objects.create(
        station=world.station, factor="a34004", start=at, end=at, state=Trace.State.DONE, result=result,
        digest="ab" * 32, evidence=entry,
    )  # fmt: skip
    assert list(checks.check()) == []
    Trace.objects.update(result={"sources": []})
    [problem] = checks.check()
    assert problem.startswith(f"source tracing {row.pk}: result is ")
    Trace.objects.update(result=result, digest="cd" * 32)
    [problem] = checks.check()
    assert "input is" in problem


def test_what_was_computed_or_received_and_was_changed(world: worlds.World, row: Episode) -> None:
    at, told = datetime(2026, 11, 20, tzinfo=UTC), "ab" * 32
    about, part, values = {"days": DAYS}, {"pm25": [[1.5, 2.0]]}, [None, 81.5, 1e-7]
    both = lambda value: digest.both(canonical.dumps(value))  # noqa: E731
    result = {"about": about, "stations": {str(world.station.pk): part}}
    contents = {
        "forecast": {"model": None, "weather": None, "input": told, "result": both(result)},
        "episode.effect": {"input": told, "result": both(about)},
        "satellite": {
            "gas": "no2", "taken": at, "source": "TROPOMI", "sha256": told, "synthetic": False,
            "values": both(values),
        },
    }  # fmt: skip
    with transaction.atomic():
        of = {kind: record(kind, f"{kind}:1", content) for kind, content in contents.items()}
    done = {"state": State.DONE, "digest": told}
    forecast = Forecast.objects.create(start=at, about=about, evidence=of["forecast"], **done)
    StationForecast.objects.create(forecast=forecast, station=world.station, result=part)
    EpisodeEffect.objects.create(episode=row, result=about, evidence=of["episode.effect"], **done)
    scene = SatelliteScene.objects.create(
        gas="no2", taken=at, day=at.date(), source="TROPOMI", name="x.nc", sha256=told,
        values=values, seen=2, cells=3, evidence=of["satellite"],
    )  # fmt: skip
    assert list(checks.check()) == []
    for model, change, said in (
        (Forecast, {"about": {}}, f"air forecast {forecast.pk}: result is"),
        (Forecast, {"digest": ""}, f"air forecast {forecast.pk}: input is"),
        (Forecast, {"evidence": None}, f"air forecast {forecast.pk}: it has no entry"),
        (StationForecast, {"result": {}}, f"air forecast {forecast.pk}: result is"),
        (EpisodeEffect, {"result": {}}, f"effect of warning {row.pk}: result is"),
        (SatelliteScene, {"values": [1]}, f"satellite scene {scene.pk}: values is"),
        (SatelliteScene, {"synthetic": True}, f"satellite scene {scene.pk}: synthetic is True"),
    ):
        before = model.objects.values(*change).get()
        model.objects.update(**change)
        [problem] = checks.check()
        assert problem.startswith(said)
        model.objects.update(**before)
    assert list(checks.check()) == []
