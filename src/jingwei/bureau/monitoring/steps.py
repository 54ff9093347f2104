"""Words for what the laboratory computed: steps, states, limits, in the reader's language."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _

from jingwei.bureau.language import english, factor_name
from jingwei.bureau.monitoring import selectors
from jingwei.bureau.registry.models import PermitLimit, Point
from jingwei.standards import codes


def number(x: Any) -> str:
    """A number as a person writes it: up to 12 significant digits, no exponent for usual sizes."""
    if x is None:
        return "–"
    if isinstance(x, int | float):
        return f"{x:.12g}"
    return str(x)


def reason_text(key: str) -> str:
    """Why there is no verdict."""
    return {
        "unit": _("The unit of the value does not fit the unit of the limit."),
        "value_missing": _("There is no value."),
        "mark": _("The value is marked as not normal and is no basis for an exceedance."),
        "value_negative": _("The value is negative."),
        "oxygen_missing": _(
            "There is no oxygen value of this period, so nothing can be converted."
        ),
        "oxygen_mark": _("The oxygen value is marked as not normal."),
        "oxygen_negative": _("The oxygen value is negative."),
        "oxygen_high": _("The oxygen is not below 21 %: the formula has no value."),
    }.get(key, key)


def rendered(stored: list[dict[str, Any]], point: Point) -> list[dict[str, str]]:
    """The steps as rows: label, formula, the formula with its numbers, result, source."""
    return [_row(s["key"], s["formula"], s["numbers"], s["source"], point) for s in stored]


def _row(key: str, formula: str, n: dict[str, Any], source: str, point: Point) -> dict[str, str]:
    label = {
        "raw": _("Value as sent"),
        "mark": _("Data mark"),
        "unit": _("In the unit of the limit"),
        "converted": _("At reference oxygen"),
        "limit": _("Limit in force"),
        "verdict": _("Verdict"),
    }.get(key, key)
    working = result = note = ""
    if key == "raw":
        result = f"{number(n['value'])} {codes.symbol(n['unit'])}"
    elif key == "mark":
        mark = n["mark"]
        name = (
            selectors.mark_name(mark, point.version) if mark else _("none sent: counts as normal")
        )
        result = f"{mark} {name}".strip()
        note = _("valid") if n["valid"] == "yes" else _("not judged")
    elif key == "unit":
        working = f"{number(n['c'])} × {number(n['k'])}"
        result = f"{number(n['result'])} {codes.symbol(n['unit'])}"
    elif key == "converted":
        working = (
            f"{number(n['c'])} × (21 − {number(n['o2s'])}) / (21 − {number(n['o2'])})"
            if n["o2"] is not None
            else ""
        )
        result = number(n["result"])
        if "sent" in n:
            note = _("the device itself sent %(value)s") % {"value": number(n["sent"])}
    elif key == "limit":
        sign = "≥" if n["bound"] == "lower" else "≤"
        result = f"{sign} {number(n['limit'])} {codes.symbol(n['unit'])}"
        if n["o2s"] is not None:
            note = _("at %(o2)s %% O2") % {"o2": number(n["o2s"])}
    elif key == "verdict":
        if n["verdict"] == "exceeded":
            sign = "<" if "<" in formula else ">"
            working = f"{number(n['value'])} {sign} {number(n['limit'])}"
            result = _("Exceeds the limit")
            if n["multiple"] is not None:
                note = _("%(multiple)s times over the limit") % {"multiple": f"{n['multiple']:.4g}"}
        elif n["verdict"] == "within":
            working = f"{number(n['value'])} / {number(n['limit'])}"
            result = _("Within the limit")
        else:
            result = _("Not judged")
            note = reason_text(n["reason"])
    return {
        "key": key,
        "label": label,
        "formula": formula,
        "working": working,
        "result": result,
        "note": note,
        "source": source,
    }


def limit_row(row: PermitLimit) -> dict[str, Any]:
    """A limit with the words that a page needs."""
    return {
        "limit": row,
        "name": factor_name(row.factor),
        "sign": "≥" if row.lower else "≤",
        "value": f"{row.value:f}".rstrip("0").rstrip(".") if "." in f"{row.value:f}" else f"{row.value:f}",
        "unit": codes.symbol(row.unit),
        "sure": row.verified == PermitLimit.Verified.VERIFIED,
        "usable": row.period in PermitLimit.Period.values and _usable(row),
    }  # fmt: skip


def _usable(row: PermitLimit) -> bool:
    try:
        selectors.as_limit(row)
    except ValueError:
        return False
    return True


def state_reason(s: selectors.PointState) -> str:
    """Why a point is in its state, in one sentence."""
    return {
        "no_data": _("No data was ever received."),
        "silent": _("No real-time data for 10 minutes and no hourly data for 2 hours."),
        "exceeded": _("A limit was exceeded within the last hours."),
        "mark": _("The newest data carry a mark that is not normal."),
        "no_oxygen": _("No oxygen is reported: the values cannot be converted and are not judged."),
    }.get(s.reason, "")


def replayed(replay: Any) -> dict[str, Any] | None:
    """What a demo point replays: sources, channels, and how it was scaled; None for a real point."""
    if not isinstance(replay, dict) or not replay:
        return None
    channels = [
        {
            "name": factor_name(str(c.get("factor", ""))),
            "series": c.get("series", ""),
            "column": c.get("column", ""),
            "scale": number(c.get("scale")),
        }
        for c in replay.get("channels", [])
        if isinstance(c, dict)
    ]
    return {
        "sources": replay.get("sources", []),
        "channels": channels,
        "how": replay.get("how" if english() else "how_zh", ""),
    }
