"""`jingwei air forecast`, `jingwei air weather`."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer


def attach(app: typer.Typer) -> None:
    app.command()(forecast)
    app.command()(weather)


def forecast(
    start: Annotated[
        datetime | None,
        typer.Option(help="Last measured hour, local time; the newest one if not given."),
    ] = None,
    learn: Annotated[bool, typer.Option(help="Learn anew first.")] = False,
    archive: Annotated[
        Path | None,
        typer.Option(
            help="Earlier years to learn from: Parquet or CSV with time, station, PM2.5 …"
        ),
    ] = None,
    rows: Annotated[int | None, typer.Option(help="Cases to learn from.")] = None,
    field: Annotated[
        bool | None,
        typer.Option(
            "--field/--no-field",
            help="Learn with the dispersion field of the registered stacks; as the last time if not given.",
        ),
    ] = None,
) -> None:
    """48 hours ahead for every air station; learns first where nothing was learned yet.

    The last line is one JSON object. Exit codes: 0 made, 1 not possible (the reason is said), 2 the
    files cannot be used.
    """
    import django

    django.setup()
    from django.utils import timezone, translation
    from rich.console import Console

    from jingwei.bureau.air import forecast_selectors as selectors
    from jingwei.bureau.air import forecast_services as services
    from jingwei.bureau.air.forecasting import HOUR, ForecastError
    from jingwei.bureau.air.models import ForecastModel, State

    out, err = Console(highlight=False, soft_wrap=True), Console(stderr=True, soft_wrap=True)
    with translation.override("en"):
        if archive is not None:
            try:
                known = services.keep_archive(archive)
            except ForecastError as error:
                err.print(selectors.why(str(error)), markup=False)
                raise typer.Exit(2) from None
            except ValueError as error:
                err.print(str(error), markup=False)
                raise typer.Exit(2) from None
            for note in known.notes:
                out.print(f"- {note}", markup=False)
        if (
            learn
            or archive
            or field is not None
            or not ForecastModel.objects.filter(state=State.DONE).exists()
        ):
            model = services.learn_now(rows=rows, field=field)
            if model.state != State.DONE:
                err.print(selectors.why(model.reason), markup=False)
                raise typer.Exit(1)
            out.print(f"Learned from {model.about['hours']} hours: {', '.join(model.about['errors'])}.")  # fmt: skip
            for sentence in selectors.field_said(model):
                out.print(f"- {sentence}", markup=False)
            for name, reason in model.about["left"].items():
                out.print(f"- {name} was left out: {reason}", markup=False)
        hour = start or timezone.localtime(timezone.now() - HOUR)
        hour = hour.replace(minute=0, second=0, microsecond=0, tzinfo=hour.tzinfo or timezone.get_default_timezone())  # fmt: skip
        made = services.forecast_now(hour)
        if made.state != State.DONE:
            err.print(selectors.why(made.reason), markup=False)
            raise typer.Exit(1)
        for sentence in selectors.said(made):
            out.print(f"- {sentence}", markup=False)
        rows_ = made.stations.select_related("station").order_by("station__name")
        print(
            json.dumps(
                {
                    "forecast": made.pk,
                    "start": made.start.isoformat(),
                    "digest": made.digest,
                    "weather_hours": made.about["reach"],
                    "stations": {
                        o.row.station.mn: {"peak": o.peak, "at": o.when.isoformat(), "class": [o.first, o.second]}
                        for o in selectors.outlooks(rows_, made)
                    },
                }
            )
        )  # fmt: skip


def weather(
    file: Annotated[
        Path,
        typer.Argument(help="CSV or Parquet: time, TEMP, PRES, WSPM, wd or WD; DEWP if known."),
    ],
    source: Annotated[str, typer.Option(help="Who made it.")] = "",
) -> None:
    """Hand in a forecast of the city's weather; the next air forecast uses it."""
    import django

    django.setup()
    from rich.console import Console

    from jingwei.bureau.air import forecast_services as services
    from jingwei.bureau.air.forecasting import HOUR

    err = Console(stderr=True, soft_wrap=True)
    try:
        row = services.take_weather(file, source)
    except ValueError as error:
        err.print(str(error), markup=False)
        raise typer.Exit(2) from None
    end = row.start + len(row.hours) * HOUR
    print(f"{len(row.hours)} hours, {row.start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC")
