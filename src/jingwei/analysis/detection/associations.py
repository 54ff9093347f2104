"""When does it exceed? Rules of the kind "at night, on working days: 4.1 times as often".

Events are the first rows of episodes of exceedance, `apart` hours from each other, so that one bad
day counts once. Items are conditions that hold or do not in each row, in groups that exclude each
other (hour block, weekday, weather, load, campaign …). A rule of one item, or of two of different
groups, is tested by Fisher's exact test, one-sided; a pair counts only for what it adds to either of
its items. Over all rules tested, Benjamini and Hochberg keep the share of false ones below q.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from jingwei.analysis.detection.calibration import fleet
from jingwei.analysis.detection.finding import Words
from jingwei.analysis.detection.monitor import Bools, Floats, Monitor

SUPPORT = 5  # events that a rule must hold for
APART = 24.0  # hours between two events
LIFT = 1.2  # smaller effects help nobody

Items = Mapping[str, Mapping[str, Bools]]  # group -> item -> rows (T,)


@dataclass(frozen=True)
class Rule:
    """items: (group, item) that hold together. events: so many fall on them, of `all_events`. rows:
    share of the time that they hold. lift: how many times as often as at other times taken
    together. p: Fisher's; q: Benjamini and Hochberg's adjusted p."""

    items: tuple[tuple[str, str], ...]
    events: int
    all_events: int
    rows: float
    lift: float
    p: float
    q: float

    def sentence(self) -> Words:
        names = "、".join(f"{g} {i}" for g, i in self.items)
        english = " and ".join(f"{g} {i}" for g, i in self.items)
        share = self.events / self.all_events
        return Words(
            f"{self.all_events} 次超标中有 {self.events} 次（{share:.0%}）发生在 {names}，"
            f"而该条件只占 {self.rows:.0%} 的时间（提升度 {self.lift:.2g}，q = {self.q:.2g}）",
            f"{self.events} of {self.all_events} exceedances ({share:.0%}) fall on {english}, which "
            f"holds {self.rows:.0%} of the time (lift {self.lift:.2g}, q = {self.q:.2g})",
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "items": [list(i) for i in self.items],
            "events": self.events,
            "all_events": self.all_events,
            "rows": self.rows,
            "lift": self.lift,
            "p": self.p,
            "q": self.q,
            "sentence": self.sentence().to_json(),
        }


def episodes(over: Bools, apart: int) -> Bools:
    """First rows of episodes: rows of `over` at least `apart` rows after the last event (T,)."""
    out = np.zeros(len(over), dtype=bool)
    until = -1
    for row in np.flatnonzero(over).tolist():
        if row >= until:
            out[row] = True
            until = row + apart
    return out


def fisher(n: int, k: int, drawn: int, hits: int) -> float:
    """P(X >= hits) when `drawn` of n rows are events and k rows hold the item (hypergeometric):
    Fisher's exact test, one-sided."""
    from scipy.stats import hypergeom  # takes long: only where something is computed

    return float(hypergeom.sf(hits - 1, n, k, drawn))


def rules(
    events: Bools,
    items: Items,
    judged: Bools | None = None,
    q: float = 0.1,
    support: int = SUPPORT,
) -> list[Rule]:
    """The rules that hold at false-discovery rate q, strongest evidence first.

    events: (T,), see `episodes`. judged: rows in which an event could be (all, if None).
    ValueError where an item's length differs.
    """
    n_rows = len(events)
    flat: list[tuple[str, str, Bools]] = []
    for group, each in items.items():
        for name, rows in each.items():
            if len(rows) != n_rows:
                raise ValueError(f"item {group} {name} has {len(rows)} rows, not {n_rows}")
            flat.append((group, name, np.asarray(rows, dtype=bool)))
    good = np.ones(n_rows, dtype=bool) if judged is None else np.asarray(judged, dtype=bool)
    event = np.asarray(events, dtype=bool)[good]
    held = [(g, i, rows[good]) for g, i, rows in flat]
    n, drawn = len(event), int(event.sum())
    if drawn < support:
        return []
    tested: list[tuple[tuple[tuple[str, str], ...], int, int, float]] = []
    for group, name, rows in held:
        k, hits = int(rows.sum()), int((rows & event).sum())
        if 0 < k < n and hits >= support:
            tested.append((((group, name),), k, hits, fisher(n, k, drawn, hits)))
    for (g1, i1, a), (g2, i2, b) in combinations(held, 2):
        if g1 == g2:
            continue
        both = a & b
        k, hits = int(both.sum()), int((both & event).sum())
        if k == 0 or hits < support:
            continue
        # What b adds where a holds, and a where b holds: the worse of the two.
        p = (
            max(
                fisher(int(one.sum()), k, int((one & event).sum()), hits)
                for one in (a, b)
                if int(one.sum()) > k
            )
            if int(a.sum()) > k and int(b.sum()) > k
            else 1.0
        )
        tested.append((((g1, i1), (g2, i2)), k, hits, p))
    if not tested:
        return []
    p_values = [t[3] for t in tested]
    keep = fleet(p_values, q)
    adjusted = adjust(p_values)
    found = []
    for (names, k, hits, p), kept, value in zip(tested, keep, adjusted, strict=True):
        rest_hits, rest = drawn - hits, n - k
        other = rest_hits / rest if rest else 0.0
        lift = (hits / k) / other if other > 0 else float(n)
        if kept and lift >= LIFT:
            found.append(Rule(names, hits, drawn, k / n, lift, p, value))
    return sorted(found, key=lambda r: (r.p, -r.lift, r.items))


def adjust(p: Sequence[float]) -> list[float]:
    """Benjamini and Hochberg's adjusted p values, in the order given."""
    values = np.asarray(p, dtype=np.float64)
    n = len(values)
    order = np.argsort(values, kind="stable")
    scaled = values[order] * n / np.arange(1, n + 1)
    out = np.empty(n)
    out[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return out.tolist()


def calendar(monitor: Monitor) -> dict[str, dict[str, Bools]]:
    """Hour block and weekday of each row, in the zone of `start`."""
    hours = monitor.hours_of_day()
    first = monitor.start.weekday()
    elapsed = (monitor.start.hour * monitor.hour + np.arange(len(monitor))) / (24 * monitor.hour)
    days = (first + np.floor(elapsed + 1e-9).astype(np.int64)) % 7
    return {
        "hour": {f"{a:02d}-{a + 6:02d}": (hours >= a) & (hours < a + 6) for a in range(0, 24, 6)},
        "weekday": {str(d + 1): days == d for d in range(7)} | {"6-7": days >= 5},
    }


def levels(name: str, values: Floats) -> dict[str, dict[str, Bools]]:
    """A quantity (load, wind, temperature) cut into thirds by its own quantiles."""
    valid = values[~np.isnan(values)]
    if not len(valid):
        return {}
    low, high = np.quantile(valid, [1 / 3, 2 / 3])
    with np.errstate(invalid="ignore"):
        parts = {"low": values <= low, "high": values > high}
        parts["middle"] = (values > low) & (values <= high)
    return {name: parts}


def exceedances(
    monitor: Monitor,
    target: str,
    more: Items | None = None,
    q: float = 0.1,
    apart: float = APART,
) -> list[Rule]:
    """The rules of a target's exceedances of its limit: calendar, load, and what is given besides
    (weather classes, campaigns, "peers exceed", marks). Empty where it has no limit."""
    limit = monitor.limits.get(target)
    if limit is None:
        return []
    y = monitor.values[target]
    with np.errstate(invalid="ignore"):
        over = y > limit
    items: dict[str, Mapping[str, Bools]] = dict(calendar(monitor))
    for column in monitor.having("load"):
        items.update(levels(column, monitor.values[column]))
    items.update(more or {})
    return rules(episodes(over, max(1, round(apart * monitor.hour))), items, ~np.isnan(y), q)
