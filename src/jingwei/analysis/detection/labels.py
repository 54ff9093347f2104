"""What a sheet says beside its sentence: the numbers by name, how rare, tier and grade.

The page of the console and the sheet of `jingwei detect` say the same words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jingwei.analysis.detection.finding import Words

W = Words

TIERS: dict[str, Words] = {
    "exact": W("确定性矛盾", "exact"),
    "statistical": W("统计检测", "statistical"),
    "rule": W("监管规则", "rule"),
}
GRADES: dict[str, Words] = {
    "evidence": W("证据级", "evidence"),
    "inspection": W("核查级", "inspection"),
    "screening": W("筛查级", "screening"),
}
NO_ACCUSATION = W("本线索不等于认定违法。", "A finding accuses nobody.")

TINY = 1e-12

NUMBERS: dict[str, Words] = {
    "rows": W("涉及数据（个）", "Values concerned"),
    "rows_before": W("其中在此时段之前（个）", "Of them before this stretch"),
    "value": W("恒定值", "The constant value"),
    "moving": W(
        "同时段变化的其他通道（最小至最大）", "Other channels that moved (lowest to highest)"
    ),
    "distinct": W("其中不同数值（个）", "Distinct values among them"),
    "lag_rows": W("与被复制段相隔（个时段）", "Rows back to the stretch it copies"),
    "factor": W("倍数", "Factor"),
    "offset": W("偏移", "Offset"),
    "reported": W("上报值", "Reported"),
    "recomputed": W("重算值", "Recomputed"),
    "raw": W("实测值", "Measured, not converted"),
    "o2": W("氧量（%）", "O2 (%)"),
    "at": W("其中相差最大的时段", "The period that departs most"),
    "median_ratio": W("上报值与重算值之比（中位数）", "Reported over recomputed (median)"),
    "mark": W("数据标记", "Data mark"),
    "medians": W("同时段各通道（中位数）", "Channels in these hours (median)"),
    "treatment": W("同时段治理设施用电均值", "Mean power of the treatment in these hours"),
    "usual_treatment": W("治理设施平时用电", "Usual power of the treatment"),
    "usual_production": W("生产设施平时用电", "Usual power of production"),
    "usual_share": W("治理用电平时占生产用电", "Usual power of the treatment over production's"),
    "usual_rest": W("总用电平时高出分项之和", "What the whole usually reads beyond the parts"),
    "total": W("同时段总用电均值", "Mean power of the whole in these hours"),
    "parts": W("同时段分项用电之和均值", "Mean power of the parts in these hours"),
    "times": W("次数", "Times"),
    "concentration_ratio": W("夜间与白天浓度之比", "Concentration at night over day"),
    "flow_ratio": W("夜间与白天流量之比", "Flow at night over day"),
    "nights": W("夜数", "Nights"),
    "reference_o2": W("基准氧（%）", "Reference O2 (%)"),
    "before": W("变动前", "Before"),
    "after": W("变动后", "After"),
    "lowest": W("最小", "Lowest"),
    "highest": W("最大", "Highest"),
    "rule": W("判据", "Bound"),
    "statistic": W("统计量（见公式）", "Statistic (see the formula)"),
    "reported_mean": W("该时段上报均值", "Mean reported in the stretch"),
    "expected_mean": W("按工况应有均值", "Mean expected from operation"),
    "rate_per_month": W("正常历史中出现频率（次/月）", "Rate in honest history (a month)"),
    "p": W("正常数据出现的概率", "Chance in honest data"),
    "hours": W("时长（小时）", "Hours"),
    "production": W("同时段生产设备用电均值", "Mean power of production in these hours"),
    "share": W("占比", "Share"),
    "limit": W("限值", "Limit"),
    "mean": W("均值", "Mean"),
    "running": W("显示运行的通道", "Channels that show running"),
    "signs": W("显示运行的通道", "Channels that show running"),
}


def show(value: Any) -> str:
    """A number with four figures; lists and dicts flat."""
    if isinstance(value, bool) or value is None:
        return "–" if value is None else str(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return "；".join(f"{k} {show(v)}" for k, v in value.items())
    if isinstance(value, list | tuple):
        plain = len(value) == 2 and all(isinstance(v, int | float) for v in value)
        return (" – " if plain else "、").join(show(v) for v in value)
    return str(value)


def numbers(given: Mapping[str, Any]) -> list[tuple[Words, str]]:
    """Label and text of each number, in the order given; what has no label goes by its key.

    A chance below `TINY` is not told apart from none; beside a chance the rate says nothing more.
    """
    told = {k: v for k, v in given.items() if k != "rate_per_month" or "p" not in given}
    return [
        (NUMBERS.get(k, W(k, k)), f"< {TINY:g}" if k == "p" and v < TINY else show(v))
        for k, v in told.items()
    ]


FARTHEST = 3.0  # times the months that were counted: how rare something is called by extrapolation


def rare(tier: str, p: float | None, score: float, months: float | None = None) -> Words:
    """How rarely honest data show the like, in one sentence.

    p: of an exact finding, None where nobody estimated it. score: -log10 of the rate a month.
    months: of the honest history by which that rate was counted.
    """
    if tier == "exact" and p is None:
        return W(
            "按数据之间必须成立的关系判定；正常数据出现这种情形的概率未作估计。",
            "Judged by what must hold between the data; the chance in honest data was not estimated.",
        )
    if tier == "exact" and p is not None and p < 1e-6:
        return W(
            "正常数据几乎不可能出现这种情形（概率低于百万分之一）。",
            "Honest data hardly ever show the like: the chance is below one in a million.",
        )
    if tier == "exact":
        return W(
            f"正常数据出现这种情形的概率不超过 {p:.2g}。",
            f"Honest data show the like with a chance of at most {p:.2g}.",
        )
    if tier == "rule":
        return W(
            "按监管规则的条文判定，不表示罕见程度。",
            "A rule applied as written; it says nothing of rarity.",
        )
    most = 1e6 if months is None else max(1.0, FARTHEST * months)
    every = min(10.0 ** min(score, 6.0), most)
    years = every / 12
    zh = f"{every:.0f} 个月" if years < 2 else f"{years:.0f} 年"
    en = f"{every:.0f} months" if years < 2 else f"{years:.0f} years"
    if months is not None and 10.0 ** min(score, 6.0) > most:
        return W(
            f"比每 {zh}一次更罕见；用来计数的正常历史只有 {months:.1f} 个月，不再往外推算。",
            f"Rarer than once in {en}; the honest history that was counted has {months:.1f} months"
            " and says no more than that.",
        )
    return W(
        f"本排放口的正常历史中，这样的偏离约每 {zh}才出现一次。",
        f"In honest history of this outlet the like comes about once in {en}.",
    )
