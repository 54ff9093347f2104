"""`jingwei air satellite`, `jingwei air hotgrid`."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer


def attach(app: typer.Typer) -> None:
    app.command()(satellite)
    app.command()(hotgrid)


def satellite(
    files: Annotated[list[Path], typer.Argument(help="NetCDF, level 2 or 3, of NO2 or HCHO.")],
    name: Annotated[
        list[str] | None,
        typer.Option(
            help="Which variable is which, where it is not found: no2=NAME, hcho=, latitude=, longitude=, time=, quality=, cloud=."
        ),
    ] = None,
    time: Annotated[
        datetime | None,
        typer.Option(help="When it was taken, local time, where the file does not say."),
    ] = None,
) -> None:
    """Take satellite columns of NO2 and HCHO over the city; the hot grids are computed anew from them.

    Exit codes: 0 all taken, 1 some files left out (the reason is said), 2 none can be used.
    """  # fmt: skip
    import django

    django.setup()
    from django.utils import timezone
    from django.utils.translation import gettext as _
    from rich.console import Console

    from jingwei.analysis.air.field.tables import FieldError
    from jingwei.bureau.air import hotgrid_selectors as selectors
    from jingwei.bureau.air import hotgrid_services as services
    from jingwei.bureau.air import scenes
    from jingwei.bureau.air.tracing import RefusedError

    err = Console(stderr=True, soft_wrap=True)
    names = dict(n.partition("=")[::2] for n in name or [])
    if not all(names.values()):
        err.print(_("--name wants KEY=NAME, for example no2=vertical_column."), markup=False)
        raise typer.Exit(2)
    when = time and time.replace(tzinfo=time.tzinfo or timezone.get_default_timezone())
    taken = 0
    for file in files:
        try:
            rows, left = services.take_scenes(file, names=names, time=when)
        except FieldError as error:
            err.print(scenes.refusal(error), markup=False)
            continue
        except RefusedError as error:
            err.print(selectors.why(str(error)), markup=False)
            raise typer.Exit(2) from None
        taken += 1
        for sentence in left:
            err.print(sentence, markup=False)
        for row in rows:
            print(scenes.line(row))
    if taken < len(files):
        raise typer.Exit(1 if taken else 2)


def hotgrid(
    region: Annotated[
        str, typer.Option(help="Code of a region: its 500 m by micro-stations alone.")
    ] = "",
) -> None:
    """Which cells of the city are high again and again: satellites, stations, dispersion residuals.

    The answer is kept and can be opened in the console. The last line is one JSON object. Exit codes: 0
    computed, 1 not possible (the reason is said).
    """
    import django

    django.setup()
    from django.utils import translation
    from rich.console import Console
    from rich.table import Table

    from jingwei.bureau.air import hotgrid_selectors as selectors
    from jingwei.bureau.air import hotgrid_services as services
    from jingwei.bureau.air.models import State
    from jingwei.bureau.registry.models import Region

    out, err = Console(highlight=False, soft_wrap=True), Console(stderr=True, soft_wrap=True)
    place = Region.objects.filter(code=region).first() if region else None
    if region and place is None:
        err.print(f"no region {region}", markup=False)
        raise typer.Exit(1)
    row = services.run_now(region=place)
    if row.state != State.DONE:
        err.print(selectors.why(row.reason), markup=False)
        raise typer.Exit(1)
    with translation.override("en"):
        found = list(row.cells.select_related("region"))
        table = Table("cell", "district", "area", "false discovery rate", "Gi*", "high on")
        for cell in found[:20]:
            table.add_row(
                cell.name, cell.region.label, str(cell.group), f"{cell.q:.2g}",
                "–" if cell.gi is None else f"{cell.gi:.1f}", selectors.persistence(cell),
            )  # fmt: skip
        out.print(table)
        for sentence in selectors.said(row):
            out.print(f"- {sentence}", markup=False)
    print(
        json.dumps(
            {
                "run": row.pk, "first": row.first.isoformat(), "last": row.last.isoformat(),
                "digest": row.digest, "tested": row.result["tested"], "hot": len(found),
                "areas": len({(c.size, c.group) for c in found}),
                "hot_500_m": sum(c.size == services.FINE for c in found),
            }
        )
    )  # fmt: skip
