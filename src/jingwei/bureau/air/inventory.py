"""Annual amounts of outlets from a table: what is emitted where neither monitor nor permit says it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from jingwei.bureau.air.tracing import EMITTED
from jingwei.bureau.language import factor_name
from jingwei.bureau.registry import sheets
from jingwei.bureau.registry.models import Medium, Outlet

# Columns, with the names that their head may have.
COLUMNS = {
    "uscc": ("uscc", "统一社会信用代码"),
    "outlet": ("outlet", "排放口编号"),
    "factor": ("factor", "污染因子编码"),
    "year": ("year", "年份"),
    "tonnes": ("tonnes", "年排放量（吨）"),
}
FACTORS = tuple(dict.fromkeys(code for codes in EMITTED.values() for code in codes))
ERRORS = 20  # that many are told


@dataclass(frozen=True)
class Line:
    outlet: Outlet
    factor: str
    year: int
    tonnes: float


def read(upload: Any, user: Any) -> list[Line]:
    """All lines, of outlets that the user may see, or none: raises `ValidationError` with a sentence for
    each row that cannot be taken."""
    table = sheets.read(upload, COLUMNS)
    codes = {r["uscc"] for _n, r in table}
    mine = Outlet.objects.restrict(user, "air.disperse").filter(medium=Medium.AIR)
    known = {
        (o.enterprise.uscc, o.code): o
        for o in mine.filter(enterprise__uscc__in=codes).select_related("enterprise")
    }
    found: dict[tuple[int, str, int], Line] = {}
    wrong: list[str] = []
    for number, row in table:
        outlet = known.get((row["uscc"], row["outlet"]))
        tonnes, year = _decimal(row["tonnes"]), row["year"]
        if outlet is None:
            why = _("Row %(row)s: no air outlet %(outlet)s of %(uscc)s in your area is registered.")
        elif row["factor"] not in FACTORS:
            why = _("Row %(row)s: “%(factor)s” is none of the codes %(codes)s.")
        elif not (year.isdecimal() and 2000 <= int(year) <= 2100):
            why = _("Row %(row)s: “%(year)s” is no year.")
        elif tonnes is None:
            why = _("Row %(row)s: “%(tonnes)s” is no amount in tonnes, 0 or more.")
        elif (outlet.pk, row["factor"], int(year)) in found:
            why = _("Row %(row)s: the same outlet, factor and year are there twice.")
        else:
            found[outlet.pk, row["factor"], int(year)] = Line(
                outlet, row["factor"], int(year), tonnes
            )
            continue
        named = ", ".join(f"{c} ({factor_name(c)})" for c in FACTORS)
        wrong.append(why % {**row, "row": number, "codes": named})
    if wrong:
        more = [_("… and %d more rows.") % (len(wrong) - ERRORS)] if len(wrong) > ERRORS else []
        raise ValidationError(wrong[:ERRORS] + more)
    return list(found.values())


def _decimal(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value < 1e8 else None
