"""What the pages of the patterns read: kinds of week, who departs from his, when exceedances come."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import Count, Q, QuerySet
from django.utils.translation import get_language, pgettext
from django.utils.translation import gettext as _

from jingwei.analysis.detection.profiles import LEAST, STRENGTH
from jingwei.bureau.monitoring import patterning
from jingwei.bureau.monitoring.detection_selectors import column_name
from jingwei.bureau.monitoring.models import ExceedanceRule, PatternLook, WeekKinds, WeekProfile
from jingwei.bureau.registry.models import Enterprise, Outlet

DEPARTS = 0.05  # adjusted p up to which an outlet departs from its kind
HEIGHT = 40.0  # of the chart of a week


def kinds(user: Any, industry: str = "", factor: str = "") -> QuerySet[WeekKinds]:
    rows = WeekKinds.objects.restrict(user, "detection.view").annotate(
        departing=Count("profiles", filter=Q(profiles__q__lte=DEPARTS))
    )
    if industry:
        rows = rows.filter(industry=industry)
    return rows.filter(factor=factor) if factor else rows


def profiles(user: Any) -> QuerySet[WeekProfile]:
    return WeekProfile.objects.restrict(user, "detection.view").select_related(
        "outlet__enterprise__region", "outlet__pattern_look", "kinds"
    )


def rules(user: Any) -> QuerySet[ExceedanceRule]:
    return ExceedanceRule.objects.restrict(user, "detection.view").select_related(
        "outlet__enterprise__region", "outlet__pattern_look"
    )


def looks(user: Any) -> QuerySet[PatternLook]:
    return PatternLook.objects.restrict(user, "detection.view")


def industry_name(industry: str) -> str:
    return str(dict(Enterprise.Industry.choices).get(industry, industry))


# --- weeks --------------------------------------------------------------------------------------


def day_name(day: int) -> str:
    """Day of the week from Monday = 0."""
    return (
        _("Monday"), _("Tuesday"), _("Wednesday"), _("Thursday"), _("Friday"), _("Saturday"),
        _("Sunday"),
    )[day]  # fmt: skip


def hour_name(hour: int) -> str:
    """An hour of the week by day and hour."""
    return _("%(day)s, hour %(hour)d") % {"day": day_name(hour // 24), "hour": hour % 24}


def line(week: Sequence[float], top: float) -> str:
    """The points of an SVG polyline, 168 wide and `HEIGHT` high; `top`: the value at the upper edge."""
    return " ".join(f"{i},{HEIGHT - HEIGHT * v / top:.1f}" for i, v in enumerate(week))


def described(week: Sequence[float]) -> str:
    """A week in words: its highest and lowest hour."""
    high = max(range(len(week)), key=lambda i: week[i])
    low = min(range(len(week)), key=lambda i: week[i])
    return _("highest %(when)s, %(times).2f times the mean; lowest %(other)s, %(less).2f times") % {
        "when": hour_name(high), "times": week[high], "other": hour_name(low), "less": week[low],
    }  # fmt: skip


def card(row: WeekKinds) -> dict[str, Any]:
    """The kinds of an industry and factor as its card shows them."""
    top = 1.05 * max((max(c) for c in row.centers), default=1.0)
    tried = {int(k): v for k, v in row.strength.items()}
    return {
        "row": row,
        "industry": industry_name(row.industry),
        "factor": column_name(row.factor),
        "kinds": [
            {"number": i + 1, "size": size, "points": line(c, top), "text": described(c)}
            for i, (size, c) in enumerate(zip(row.sizes, row.centers, strict=True))
        ],
        "strength": tried.get(len(row.centers)),
        "next": next(((k, v) for k, v in sorted(tried.items()) if k > len(row.centers)), None),
        "departing": getattr(row, "departing", 0),
        "least": LEAST,
        "needed": STRENGTH,
    }


def standing(row: WeekProfile) -> dict[str, Any]:
    """Where an outlet's week stands, as a table's row and its chart."""
    kind = row.kinds
    center = kind.centers[row.kind] if kind and kind.centers and row.kind is not None else None
    top = 1.05 * max([*row.week, *(center or [])])
    return {
        "row": row,
        "factor": column_name(row.factor),
        "industry": industry_name(row.outlet.enterprise.industry),
        "kind": None if row.kind is None else row.kind + 1,
        "departs": row.q is not None and row.q <= DEPARTS,
        "percent": None if row.distance is None else 100 * row.distance,
        "hours": [
            _("%(when)s: %(own).2f, the others %(theirs).2f")
            % {"when": hour_name(h), "own": own, "theirs": theirs}
            for h, own, theirs in row.hours[:3]
        ],
        "own": line(row.week, top),
        "theirs": line(center, top) if center else "",
        "text": described(row.week),
    }


# --- rules --------------------------------------------------------------------------------------


def condition(group: str, item: str) -> str:
    """A condition of a rule in words."""
    third = {
        "low": pgettext("third", "low"),
        "middle": pgettext("third", "middle"),
        "high": pgettext("third", "high"),
    }
    if group == "hour":
        return _("between %(a)d and %(b)d o'clock") % dict(
            zip("ab", map(int, item.split("-")), strict=True)
        )
    if group == "weekday":
        return (
            _("at weekends")
            if item == "6-7"
            else _("on %(day)s") % {"day": day_name(int(item) - 1)}
        )
    if group == "wind":
        return _("wind speed in the city: %(third)s") % {"third": third[item]}
    if group == "temperature":
        return _("air temperature in the city: %(third)s") % {"third": third[item]}
    if group == "campaign":
        return _("during special campaigns")
    return _("%(column)s: %(third)s") % {
        "column": column_name(group),
        "third": third.get(item, item),
    }


def conditions(row: ExceedanceRule) -> str:
    glue = " + " if (get_language() or "").startswith("en") else "、"
    return glue.join(condition(group, item) for group, item in row.items)


def sentence(row: ExceedanceRule) -> str:
    """A rule in one sentence."""
    given = {
        "factor": column_name(row.factor),
        "all": row.all_events,
        "hits": row.events,
        "share": f"{100 * row.events / row.all_events:.0f}",
        "when": conditions(row),
        "rows": f"{100 * row.rows:.0f}",
        "lift": f"{row.lift:.2g}",
    }
    if row.events == row.all_events:
        return (
            _(
                "%(factor)s: all %(all)d exceedances fall under “%(when)s”, which holds %(rows)s %% of the"
                " time."
            )
            % given
        )
    return (
        _(
            "%(factor)s: %(hits)d of %(all)d exceedances (%(share)s %%) fall under “%(when)s”, which holds"
            " %(rows)s %% of the time: %(lift)s times as often as otherwise."
        )
        % given
    )


def lift(row: ExceedanceRule) -> str:
    """How many times as often; without any at other times there is no such number."""
    return _("only then") if row.events == row.all_events else f"{row.lift:.2g}"


# --- one outlet, and what is missing -------------------------------------------------------------


def reason(code: str) -> str:
    """Why there is no week of an outlet."""
    return {
        "nothing": _("No hourly data came in these 26 weeks."),
        "no_target": _("No monitored factor has a limit."),
        "gaps": _(
            "More than %(m)d hours of the week have fewer than %(n)d values, or the mean is zero."
        )
        % {"m": patterning.GAPS, "n": patterning.LEAST},
    }.get(code, code)


def outlet(user: Any, found: Outlet) -> dict[str, Any]:
    """Patterns of one outlet: its weeks beside its kind, its rules, what they rest on."""
    look = looks(user).filter(outlet=found).first()
    return {
        "look": look,
        "weeks": [standing(row) for row in profiles(user).filter(outlet=found)],
        "rules": [(row, sentence(row), lift(row)) for row in rules(user).filter(outlet=found)],
        "events": [
            (column_name(factor), n) for factor, n in sorted((look.events if look else {}).items())
        ],
        "missing": [
            (column_name(factor) if factor else "", reason(code))
            for factor, code in sorted((look.reasons if look else {}).items())
        ],
        "support": patterning.PARAMETERS["events_a_rule"],
    }


def choices(
    user: Any,
) -> tuple[list[tuple[str, str]], list[tuple[str, str]], list[tuple[str, str]]]:
    """Industries, factors and districts of which there are weeks or rules to see."""
    english = (get_language() or "").startswith("en")
    seen = [
        *profiles(user).values_list(
            "outlet__enterprise__industry", "factor", "outlet__enterprise__region",
            "outlet__enterprise__region__name", "outlet__enterprise__region__name_en",
        ).order_by().distinct(),
        *rules(user).values_list(
            "outlet__enterprise__industry", "factor", "outlet__enterprise__region",
            "outlet__enterprise__region__name", "outlet__enterprise__region__name_en",
        ).order_by().distinct(),
    ]  # fmt: skip
    return (
        sorted({(i, industry_name(i)) for i, *_rest in seen}, key=lambda pair: pair[1]),
        sorted({(f, column_name(f)) for _i, f, *_rest in seen}, key=lambda pair: pair[1]),
        sorted({(r, en if english and en else zh) for _i, _f, r, zh, en in seen}),
    )
