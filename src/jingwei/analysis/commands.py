"""`jingwei detect`: falsified, faulty or bypassed? From a file, with an evidence sheet a finding."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def attach(app: typer.Typer) -> None:
    app.command("detect")(detect)


def _fail(text: str) -> typer.Exit:
    typer.echo(f"jingwei: {text}", err=True)
    return typer.Exit(2)


def detect(
    file: Annotated[
        Path, typer.Argument(help="Parquet file of one outlet: a column `time` and one a channel.")
    ],
    targets: Annotated[str, typer.Option(help="Columns to judge, with commas: NOX,CO")],
    fit_until: Annotated[
        str, typer.Option(help="Learn from the rows before this time (ISO 8601), judge the others.")
    ],
    limit: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE in the column's unit; may be repeated.")
    ] = None,
    role: Annotated[
        list[str] | None,
        typer.Option(help="COLUMN=ROLE (load, o2, flow, raw, power_treatment, …); repeatable."),
    ] = None,
    reference_o2: Annotated[
        float | None, typer.Option(help="Reference oxygen in %, to check the conversion.")
    ] = None,
    budget: Annotated[
        float, typer.Option(help="False cases allowed per outlet and month, 0.001 to 10.")
    ] = 0.1,
    out: Annotated[
        Path | None, typer.Option(help="Folder for one evidence sheet (HTML) per finding.")
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(help="Time of the first row (ISO 8601) where the file has no `time`; hourly."),
    ] = None,
    rules: Annotated[bool, typer.Option(help="Also apply the regulator's rules (A18-…).")] = False,
) -> None:
    """Find contradictions in an outlet's reports.

    Prints one line of JSON per finding to standard output, and to standard error what could not be
    judged and why. Times without a zone are China Standard Time. Exit code 0 also when there are
    findings, 2 when the input cannot be read. Where production and treatment have power meters,
    their contradictions are found too.
    """
    from jingwei.analysis.detection import Suite
    from jingwei.analysis.detection.files import InputError, read, until
    from jingwei.analysis.detection.rules import regulator
    from jingwei.analysis.detection.sheet import page
    from jingwei.analysis.detection.treatment import findings as contradictions

    try:
        monitor = read(
            file,
            [t.strip() for t in targets.split(",") if t.strip()],
            limits=limit or (),
            roles=role or (),
            reference_o2=reference_o2,
            start=start,
        )
        cut = until(monitor, fit_until)
        if not 1e-3 <= budget <= 10:
            raise InputError(f"budget must lie between 0.001 and 10, not {budget}")
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
    except (InputError, ValueError, OSError) as error:
        raise _fail(str(error)) from None
    suite = Suite.fit(monitor.rows(0, cut))
    later = monitor.rows(cut, len(monitor))
    found = suite.detect(later, budget=budget)
    findings = [*found, *contradictions(later), *(regulator(later) if rules else ())]
    for reason in found.reasons:
        typer.echo(f"not judged: {reason}", err=True)
    for name, quality in suite.quality.items():
        typer.echo(f"model {name}: R² {quality.r2:.2f} out of time", err=True)
    for budget_text, figures in suite.realised.items():
        typer.echo(
            f"budget {budget_text}: {figures['realised']:.2f} cases a month on held-out history",
            err=True,
        )
    for number, finding in enumerate(findings, 1):
        typer.echo(finding.line())
        if out is not None:
            name = f"{number:03d}-{finding.start:%Y%m%dT%H%M}-{finding.factor}-{finding.detector}"
            safe = "".join(c if c.isalnum() or c in "-_" else "_" for c in name)
            (out / f"{safe}.html").write_text(page(finding), encoding="utf-8")
    typer.echo(f"{len(findings)} findings", err=True)
