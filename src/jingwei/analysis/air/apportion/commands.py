"""`jingwei validate pmf`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from jingwei.analysis import validate


def pmf(
    con: Annotated[Path, typer.Option(help="Concentrations: date, then one column a species.")],
    unc: Annotated[Path, typer.Option(help="Their uncertainties, the same head and rows.")],
    factors: Annotated[str, typer.Option(help="Numbers of factors, with commas.")] = "4,6,8",
    starts: Annotated[int, typer.Option(help="Random starts.")] = 40,
    robust: Annotated[bool, typer.Option(help="Residuals beyond 4 count linearly.")] = False,
    bootstrap: Annotated[int, typer.Option(help="Resamples for the spread of the profiles.")] = 0,
    names: Annotated[bool, typer.Option(help="Name the factors by published profiles.")] = False,
    profiles: Annotated[
        Path | None, typer.Option(help="Own profiles: code, source, species, value (fraction).")
    ] = None,
    seed: Annotated[int, typer.Option()] = 1,
    report: Annotated[
        Path | None, typer.Option(help="Markdown file whose section of this name is written anew.")
    ] = None,
) -> None:
    """Positive matrix factorisation: Q and CPU time by number of factors."""
    import numpy as np

    from jingwei.analysis.air.apportion import files
    from jingwei.analysis.air.apportion import pmf as model
    from jingwei.analysis.air.apportion import profiles as library
    from jingwei.analysis.air.field.report import table, write

    found: list[dict[str, Any]] = []
    lines = []
    with validate.refusing():
        try:
            numbers = [int(k) for k in factors.split(",")]
        except ValueError as error:
            raise ValueError(f"factors {factors!r}: wanted numbers with commas") from error
        samples = files.read(con, unc)
        known = library.read(profiles or library.BUNDLED) if names or profiles else None
        # The kernel is compiled or read before the clock starts.
        model.factorise(samples, 1, starts=1, sweeps=1)
        for k in numbers:
            clock = time.process_time()
            one = model.factorise(samples, k, starts=starts, robust=robust, seed=seed)
            spent = time.process_time() - clock
            told: dict[str, Any] = {
                "factors": k,
                "q": round(one.q, 1),
                "q_robust": round(one.robust, 1),
                "q_expected": one.goal,
                "followed": [round(q, 1) for q in one.all_q],
                "cpu_s": round(spent, 3),
            }
            if bootstrap:
                spread = model.bootstrap(samples, one, runs=bootstrap, robust=robust, seed=seed)
                told["bootstrap_mapped"] = np.diag(spread.mapped[:, :-1]).tolist()
            if known is not None:
                told["names"] = [
                    {"source": n.source, "similarity": round(n.similarity, 3), "doubt": n.doubt}
                    for n in library.name(one.profiles, samples.species, known)
                ]
            found.append(told)
            lines.append(
                [con.stem, str(k), f"{one.q:,.0f}", f"{one.robust:,.0f}", f"{one.q / one.goal:.2f}",
                 f"{spent:.2f}"]
            )  # fmt: skip
            validate.tell(
                f"{k} factors: Q {one.q:,.0f}, robust {one.robust:,.0f}, {spent:.2f} CPU-s"
            )
    text = table(["data", "factors", "Q", "Q robust", "Q/expected", "CPU-s"], lines)
    if report is not None:
        with validate.refusing():
            write(report, f"pmf-{con.stem}", text)
    validate.figures(
        {
            "name": "pmf",
            "samples": len(samples.values),
            "species": len(samples.species),
            "starts": starts,
            "robust": robust,
            "solutions": found,
        }
    )
