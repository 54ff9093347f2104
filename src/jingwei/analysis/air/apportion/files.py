"""Tables of concentrations and uncertainties as EPA PMF 5 and esat write them."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np

from jingwei.analysis.air.apportion.pmf import Samples
from jingwei.analysis.air.boundary import Floats
from jingwei.analysis.air.field.tables import FieldError, text

MISSING = -999.0


def _table(source: Path) -> tuple[list[str], Floats]:
    lines = [r for r in csv.reader(io.StringIO(text(source))) if any(c.strip() for c in r)]
    if len(lines) < 2 or len(lines[0]) < 3:
        raise FieldError(f"{source}: wanted a head (date, species…) and one line a sample")
    head = [c.strip() for c in lines[0][1:]]
    out = np.full((len(lines) - 1, len(head)), np.nan)
    for n, row in enumerate(lines[1:]):
        if len(row) != len(head) + 1:
            raise FieldError(
                f"{source}, row {n + 1}: {len(row)} cells, the head has {len(head) + 1}"
            )
        for j, cell in enumerate(row[1:]):
            if not cell.strip():
                continue
            try:
                out[n, j] = float(cell)
            except ValueError as error:
                raise FieldError(
                    f"{source}, row {n + 1}: {head[j]} is {cell!r}, not a number"
                ) from error
    return head, np.where(out == MISSING, np.nan, out)


def read(con: Path, unc: Path) -> Samples:
    """Both files have the same head and rows; the first column is the date. Empty or -999: missing.

    Raises FieldError.
    """
    species, values = _table(con)
    other, errors = _table(unc)
    if species != other:
        differ = next((a, b) for a, b in zip([*species, ""], [*other, ""], strict=False) if a != b)
        raise FieldError(f"{unc}: column {differ[1]!r} where {con} has {differ[0]!r}")
    if len(values) != len(errors):
        raise FieldError(f"{unc}: {len(errors)} rows, {con} has {len(values)}")
    try:
        return Samples(values, errors, tuple(species))
    except ValueError as error:
        raise FieldError(f"{unc}: {error}") from error
