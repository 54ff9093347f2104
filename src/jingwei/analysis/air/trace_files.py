"""`jingwei trace-files`: who is behind an exceedance at a station, from files."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jingwei.analysis import validate

if TYPE_CHECKING:
    import numpy as np

_LOCAL = timezone(timedelta(hours=8))


def trace_files(
    station: Annotated[str, typer.Option(help="Name of the station in the data.")],
    begin: Annotated[
        str, typer.Option("--from", help="First hour, ISO 8601, China Standard Time.")
    ],
    end: Annotated[str, typer.Option("--to", help="Last hour.")],
    data: Annotated[
        Path,
        typer.Option(help="Measurements of all stations with wind (UCI Beijing columns), hourly."),
    ],
    stations: Annotated[Path, typer.Option(help="CSV: station, longitude, latitude.")],
    sources: Annotated[
        Path,
        typer.Option(
            help="CSV: source, longitude, latitude, rate (kg/h); height, diameter, velocity,"
            " temperature, monitored where known."
        ),
    ],
    pollutant: Annotated[str, typer.Option()] = "SO2",
    threshold: Annotated[
        float, typer.Option(help="How many times its inventory a source must emit to exceed.")
    ] = 3.0,
    top: Annotated[int, typer.Option(help="Lines of the list.")] = 30,
) -> None:
    """From files: rank sources by the probability that they emit far more than their inventory.

    The engine is that of `trace`; the wind is one for the city, the mean of the stations in the data.

    The list accuses nobody: rates have intervals, and sources that the data cannot tell apart are named
    together. The last line of the output is one JSON object.
    """
    from jingwei.analysis.air import attribution, investigate
    from jingwei.analysis.air.forecast import history

    with validate.refusing():
        known = history.read(data)
        first, last = known.at(_hour("--from", begin)), known.at(_hour("--to", end))
        if last < first:
            raise ValueError(f"--to {end} lies before --from {begin}")
        if last - first >= attribution.LONGEST:
            raise ValueError(
                f"the period is longer than {attribution.LONGEST} hours: choose those of the exceedance"
            )
        if not 1.0 < threshold <= 50:
            raise ValueError("threshold: between 1 and 50 times the inventory")
        register, notes = investigate.read_register(sources)
        found = investigate.trace(
            known, pollutant, station, first, last,
            stations=investigate.read_places(stations), register=register, threshold=threshold,
            top=top,
        )  # fmt: skip
    for note in (*notes, *found.notes):
        validate.tell(f"note: {note}")
    typer.echo(
        f"{station}, {found.hours} h: {pollutant} {found.measured:.1f} µg/m³, background"
        f" {found.background:.1f}, sources {found.explained:.1f} (mean)"
    )
    typer.echo("  p(exceeds)  inventory     rate (90 %), kg/h      share    km  from  source")
    for s in found.suspects:
        alike = f"  [as likely: {', '.join(s.alike[:4])}]" if s.alike else ""
        typer.echo(
            f"  {s.probability:9.2f}  {s.inventory:9.2f}  {s.rate:8.2f} ({s.low:.2f}…{s.high:.2f})"
            f"  {100 * s.share:5.1f} %  {s.distance / 1e3:4.1f}  {s.bearing:3.0f}°  {s.name}{alike}"
        )
    content = asdict(found)
    content["notes"] = [*notes, *found.notes]
    typer.echo(json.dumps({"name": "trace-files", **content}, ensure_ascii=False))


def _hour(option: str, text: str) -> np.datetime64:
    import numpy as np

    try:
        when = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"{option} {text!r} is no time (2024-01-31T08:00)") from error
    if when.tzinfo is not None:
        when = when.astimezone(_LOCAL).replace(tzinfo=None)
    return np.datetime64(when, "h")
