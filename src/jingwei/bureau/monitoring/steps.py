"""Words for what the laboratory computed: steps, states, limits, in the reader's language."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from django.utils.translation import gettext as _

from jingwei.analysis import validity
from jingwei.analysis.compliance import Reason, Step, Verdict
from jingwei.analysis.incineration import Problem
from jingwei.bureau.language import english, factor_name, table_text
from jingwei.bureau.monitoring import gas, selectors, verdicts
from jingwei.bureau.monitoring.models import Basis, Judgement
from jingwei.bureau.registry import force
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
        "oxygen_invalid": _("The oxygen value is not valid, so nothing can be converted."),
        "range": _("The value is above the instrument's range."),
        "flat": _("The value has not moved for four hours or more."),
        "few": _("Too few valid values of the shorter period."),
        "clock": _(
            "The device's clock is wrong: the value came before its time was over, or the time"
            " lies far behind."
        ),
        "mark_unknown": _("The data mark is none that the protocol knows."),
        "no_flow": _("Nothing flowed: a flow-weighted mean has no value."),
        "flow_invalid": _("There is no valid flow, so there is no mass."),
        "exempt": _("The enterprise's mark exempts it: no basis for an exceedance."),
        "state": _(
            "The value is not of dry gas at standard state, and the temperature, pressure or"
            " moisture that converts it is missing."
        ),
        "out_of_control": _(
            "A check of the instrument failed: out of control since the check before."
        ),
        "part": _("Only NO or only NO2 was sent: nitrogen oxides want both, or NOx itself."),
    }.get(key, key)


def own_reading() -> str:
    """What an officer has to know of a day that exceeds with its exempt hours alone."""
    return _(
        "Over the limit with its exempt hours, but not (or not to be shown) without them: no"
        " exceedance is established. This is our own reading: Order 10 does not say how exempt hours"
        " leave a daily mean. It wants a lawyer's confirmation; a person decides."
    )


def fault_text(name: str) -> str:
    """Why a value is not valid, in a few words."""
    return {
        "missing": _("no number"),
        "mark": _("marked as abnormal"),
        "unknown_mark": _("unknown mark"),
        "negative": _("negative"),
        "over_range": _("above the range"),
        "flat": _("does not move"),
        "no_link": _("no link"),
        "few": _("too few valid values"),
        "no_flow": _("no flow"),
        "impossible": _("impossible number"),
        "clock": _("wrong clock"),
        "part": _("NO or NO2 missing"),
        "out_of_control": _("out of control"),
        "state": _("cannot be converted to dry standard state"),
    }.get(name, name)


def missing_text(counted: Mapping[str, int]) -> str:
    """What is the matter with hours, the most frequent first: from `FurnaceDay.missing`."""
    words = {"missing": _("not received")}
    found = sorted(
        ((name, n) for name, n in counted.items() if name != "maintenance"),
        key=lambda kv: (-kv[1], kv[0]),
    )
    return (", " if english() else "、").join(
        f"{words.get(name) or fault_text(name)} {n}" for name, n in found
    )


def fault_texts(mask: int) -> str:
    """All reasons of a mask, in the reader's language."""
    return _joined(validity.names(mask))


def _joined(names: Iterable[str]) -> str:
    return (", " if english() else "、").join(fault_text(name) for name in names if name)


def rendered(stored: list[dict[str, Any]], point: Point) -> list[dict[str, str]]:
    """The steps as rows: label, formula, the formula with its numbers, result, source."""
    return [_row(s["key"], s["formula"], s["numbers"], s["source"], point) for s in stored]


def _row(key: str, formula: str, n: dict[str, Any], source: str, point: Point) -> dict[str, str]:
    label = {
        "raw": _("Value as sent"),
        "nox": _("Nitrogen oxides as NO2"),
        "basis": _("State of the gas"),
        "standard": _("At standard state"),
        "dry": _("Of dry gas"),
        "mark": _("Data mark"),
        "unit": _("In the unit of the limit"),
        "converted": _("At reference oxygen"),
        "validity": _("Validity"),
        "count": _("Values of the shorter period"),
        "mean": _("Mean of the valid values"),
        "converted_day": _("Mean at reference oxygen"),
        "exempt": _("Mean without exempt hours"),
        "rate": _("Mass an hour"),
        "sample": _("Enforcement sample"),
        "limit": _("Limit in force"),
        "verdict": _("Verdict"),
    }.get(key, key)
    working = result = note = ""
    if key == "raw":
        result = f"{number(n['value'])} {codes.symbol(n['unit'])}"
    elif key == "basis":
        if n["state"] == "standard":
            result = _("taken as dry, at standard state")
            note = _("as the standard has the device send it; nothing is converted")
        else:
            result = str(Basis.State(n["state"]).label)
            note = _("declared for this point: converted here")
    elif key == "standard":
        p = f"{number(n['ba'])} + {number(n['ps'])}"
        working = f"{number(n['c'])} × 101325 / ({p}) × (273 + {number(n['t'])}) / 273"
        result = number(n["result"])
    elif key == "dry":
        working = f"{number(n['c'])} / (1 − {number(n['xsw'])} / 100)"
        result = number(n["result"])
    elif key == "nox":
        unit = codes.symbol(n["unit"])
        working = f"{number(n['no'])} × 46 / 30 + {number(n['no2'])}"
        result = f"{number(n['result'])} {unit}"
        note = _("the device sends NO and NO2, no NOx")
    elif key == "mark":
        mark = n["mark"]
        name = (
            selectors.mark_name(mark, point.version) if mark else _("none sent: counts as normal")
        )
        result = f"{mark} {name}".strip()
        note = "" if n["valid"] == "yes" else _("abnormal")
    elif key == "validity":
        result = _("valid") if n["valid"] == "yes" else _("not valid")
        note = _joined(n["reasons"].split(", "))
        if "by" in n:
            note = _("%(why)s (mark %(number)s of the enterprise)") % {
                "why": note, "number": n["by"]
            }  # fmt: skip
        elif "check" in n:
            note = _("%(why)s (failed check %(number)s)") % {"why": note, "number": n["check"]}
        elif "exempt" in n:
            note = _("exempt by mark %(number)s of the enterprise") % {"number": n["exempt"]}
    elif key == "count":
        if "least" in n:
            working = f"{n['usable']} ≥ {n['least']}"
        result = _("%(usable)s of %(received)s usable") % n
        if "least" in n and "HJ 356" in source:
            note = _(
                "judged by the number of its valid hours, not by data marks of HJ 212-2017 App. D"
            )
    elif key == "mean":
        result = f"{number(n['value'])} {codes.symbol(n['unit'])}"
        working = f"n = {n['n']}"
        if "sent" in n:
            note = _("the device itself sent %(value)s") % {"value": number(n["sent"])}
    elif key == "converted_day":
        working = f"O2s = {number(n['o2s'])}; n = {n['n']}"
        result = number(n["result"])
        if "free" in n:  # judgements before the step of its own
            note = _("without exempt hours %(value)s") % {"value": number(n["free"])}
    elif key == "exempt":
        result = (
            _("no mean: fewer than %(least)s valid hours are left") % {"least": n["least"]}
            if n["free"] is None
            else f"{number(n['free'])} {codes.symbol(n['unit'])}"
        )
        note = own_reading() if n["decides"] == "yes" else ""
    elif key == "rate":
        working = f"{number(n['c'])} {codes.symbol(n['unit'])} × {number(n['q'])} {codes.symbol(n['q_unit'])}"
        result = f"{number(n['result'])} kg/h"
    elif key == "sample":
        result = f"{number(n['value'])} {codes.symbol(n['unit'])}"
        note = _("report %(report)s: prevails over the automatic value of the same time") % {
            "report": n["report"]
        }
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
        "source": "; ".join(table_text(part) for part in source.split("; ")),
    }


def opening(point: Point, cell: Mapping[str, Any], code: str, unit: str) -> list[dict[str, str]]:
    """The steps of a value that no limit is in force for: as sent, its mark, whether it is valid."""
    raw = gas.first(cell, Step("raw", "", {"value": cell["value"], "unit": unit}, "HJ 212-2017"))
    mark = cell.get("mark", "")
    fine = "yes" if mark in selectors.normal_marks(point.version) else "no"
    marked = Step("mark", "", {"mark": mark, "valid": fine}, "HJ 212-2017")
    steps = (raw, marked, *verdicts.checks(cell), *gas.basis(cell, code, point))
    return rendered([s.to_json() for s in steps], point)


def history(rows: list[Judgement], factor: str) -> list[dict[str, Any]]:
    """What was judged of one factor of a period, the newest first: when, on which telegrams, what."""
    found = []
    for j in rows:
        cell = j.factors.get(factor)
        if cell is None:
            continue
        said = []
        for verdict, why, value in cell.get("limits", {}).values():
            if verdict == Verdict.EXCEEDED:
                said.append(_("Exceeds the limit") + f" ({number(value)})")
            elif verdict == Verdict.WITHIN:
                said.append(_("Within the limit") + f" ({number(value)})")
            else:
                said.append(f"{_('Not judged')} · {reason_text(Reason(why).key)}")
        found.append(
            {
                "judged": j.judged,
                "stands": j.stands,
                "telegrams": j.numbers,
                "value": cell["value"],
                "mark": cell.get("mark", ""),
                "faults": fault_texts(cell.get("fault", 0)),
                "said": said,
            }
        )
    return found


def problem_text(problem: Problem) -> str:
    """What speaks against a mark, in one sentence."""
    n = {k: number(v) for k, v in problem.numbers.items()}
    text = {
        "overlap": _("overlaps the mark before it"),
        "order": _("does not follow on the state before it (%(from)s → %(to)s)"),
        "duration": _("lasts %(hours)s h, at most %(longest)s h are allowed"),
        "note": _("cause and process are missing"),
        "temperature": _(
            "furnace temperature down to %(lowest)s °C, at least %(least)s °C is asked"
        ),
        "start_temperature": _("furnace temperature at its beginning %(at_start)s °C"),
        "end_temperature": _("furnace temperature at its end %(at_end)s °C"),
        "feeding": _("waste was fed"),
        "oxygen": _("oxygen down to %(lowest)s %%: less than of a furnace out of operation"),
        "not_resent": _("the data have not been sent again"),
        "not_normal_operation": _("outside normal operation (%(condition)s)"),
        "not_below": _("furnace temperature not below 850 °C (lowest %(lowest)s °C)"),
    }[problem.key]
    return f"{text % n} ({problem.rule})"


def limit_row(
    row: PermitLimit, others: Sequence[PermitLimit] = (), day: date | None = None
) -> dict[str, Any]:
    """A limit with the words that a page needs; what is to be said of it on a day, of all the limits
    of its outlet."""
    return {
        "limit": row,
        "name": factor_name(row.factor),
        "sign": "≥" if row.lower else "≤",
        "value": f"{row.value:f}".rstrip("0").rstrip(".") if "." in f"{row.value:f}" else f"{row.value:f}",
        "unit": codes.symbol(row.unit),
        "sure": row.verified == PermitLimit.Verified.VERIFIED,
        "why": force.defect_text(row),
        "remarks": force.remarks(row, others, day) if day and force.usable(row) else [],
    }  # fmt: skip


def state_reason(s: selectors.PointState) -> str:
    """Why a point is in its state, in one sentence."""
    names = [factor_name(f, s.point.version) for f in sorted(s.out)]
    return {
        "out_of_control": _(
            "Out of control: a check of the instrument failed and none has passed since. Data of"
            " %(factors)s are not valid."
        )
        % {"factors": (", " if english() else "、").join(names)},
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
