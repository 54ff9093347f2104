"""`jingwei air dispersion`."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer


def attach(app: typer.Typer) -> None:
    app.command()(dispersion)


def dispersion(
    start: Annotated[datetime, typer.Option("--from", help="First hour, local time.")],
    end: Annotated[datetime, typer.Option("--to", help="End, local time; at most 72 hours later.")],
    factor: Annotated[str, typer.Option(help="Pollutant (HJ 524 code).")] = "a21026",
    industry: Annotated[str, typer.Option(help="Only outlets of this industry.")] = "",
    region: Annotated[str, typer.Option(help="Only outlets of this division (code).")] = "",
    weather: Annotated[
        Path | None, typer.Option(help="A table (CSV, Excel) or a gridded file (NetCDF, GRIB).")
    ] = None,
    losses: Annotated[bool, typer.Option(help="Take out what usually leaves the air.")] = True,
) -> None:
    """Where the emissions of registered outlets go, hour by hour: field, stations, contributions.

    The run is kept and can be opened in the console. The last line is one JSON object. Exit codes: 0
    computed, 1 not possible (the reason is said), 2 the question cannot be asked.
    """
    import django

    django.setup()
    from django.utils import timezone, translation
    from rich.console import Console
    from rich.table import Table

    from jingwei.analysis.air.loss import LOSSES
    from jingwei.bureau.air import dispersion as runs
    from jingwei.bureau.air import dispersion_selectors as selectors
    from jingwei.bureau.air import dispersion_services as services
    from jingwei.bureau.air.models import Dispersion
    from jingwei.bureau.air.tracing import NAMES
    from jingwei.bureau.registry.models import Enterprise, Point

    out, err = Console(highlight=False, soft_wrap=True), Console(stderr=True, soft_wrap=True)
    here = timezone.get_default_timezone()
    begin, until = (m.replace(minute=0, second=0, tzinfo=m.tzinfo or here) for m in (start, end))
    wrong = ""
    if factor not in NAMES:
        wrong = f"--factor must be one of {', '.join(NAMES)}"
    elif not timezone.timedelta(0) < until - begin <= runs.LONGEST * runs.HOUR:
        wrong = "--to must be after --from, by 72 hours at most"
    elif industry and region:
        wrong = "give --industry or --region, not both"
    elif industry and industry not in Enterprise.Industry.values:
        wrong = f"--industry must be one of {', '.join(Enterprise.Industry.values)}"
    elif weather is not None and not weather.is_file():
        wrong = f"no file {weather}"
    if wrong:
        err.print(wrong, markup=False)
        raise typer.Exit(2)
    asked = {"which": "industry" if industry else "region" if region else "all"}
    asked |= {k: v for k, v in (("industry", industry), ("region", region)) if v}
    usual = LOSSES[NAMES[factor]]
    asked_for = asked | {
        "weather": "stations", "half_life": usual.half_life if losses else None,
        "deposition": losses and usual.surface is not None, "washout": losses, "rain_mm": None,
    }  # fmt: skip
    if weather is not None:
        grid = weather.suffix.lower() not in (".csv", ".xlsx", ".txt")
        asked_for |= {"weather": "grid" if grid else "table", "file_name": weather.name}
    content = None if weather is None else weather.read_bytes()
    with translation.override("en"):
        row = services.run(services.ask(None, factor, begin, until, asked_for, content))
        if row.state != Dispersion.State.DONE:
            err.print(selectors.why(row), markup=False)
            raise typer.Exit(1)
        seen = list(Point.objects.in_bulk(row.result["stations"]).values())
        at = selectors.chosen(row, seen, "")
        figures = selectors.figures(row, at, seen)
        out.print(selectors.verdict(row, figures, "mean of the stations"), markup=False)
        table = Table("outlet", "industry", "division", "g/s", "known from", "adds µg/m³", "share")
        shares = selectors.sources(None, row, at)
        for s in shares:
            table.add_row(s.name, s.industry, s.region, f"{s.rate:.3g}", s.basis, s.adds, s.percent)
        out.print(table)
        for sentence in selectors.said(row):
            out.print(f"- {sentence}", markup=False)
    print(
        json.dumps(
            {
                "run": row.pk, "hours": row.result["hours"], "engine": row.result["engine"],
                "modelled": figures["modelled"], "measured": figures["measured"],
                "peak": figures["peak"], "outlets": len(row.result["sources"]),
                "field": str(runs.place(row.field)),
            }
        )
    )  # fmt: skip
