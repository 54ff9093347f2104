"""Why something is not judged, in one sentence."""

from __future__ import annotations

from typing import Any

from jingwei.analysis.detection.finding import Reason, Words

W = Words

SILENT = frozenset({"empty", "constant", "missing", "unit"})  # statistics say nothing of the column
NOTES = frozenset({"identity", "unmarked"})  # to be known, but they stop nothing

REASONS: dict[str, Words] = {
    "short": W(
        "历史只有 {days:.0f} 天，统计检测需要 60 天以上，只做精确检测",
        "The history has only {days:.0f} days; statistics need 60, so only exact checks are made",
    ),
    "empty": W("没有任何有效数据，无法判断", "There are no values at all: no judgement"),
    "missing": W(
        "缺失 {share:.0%}，达到或超过一半，不作统计判断，只做精确检测",
        "{share:.0%} of the values are missing: no statistical judgement, only exact checks",
    ),
    "constant": W(
        "历史数据基本不变，看不出正常习惯，无法判断",
        "The history hardly ever changes, so nothing shows what is normal: no judgement",
    ),
    "unit": W(
        "数值水平变为原来的 {ratio:.3g} 倍，像换了单位，统一单位后才能作统计判断，目前只做精确检测",
        "The level is {ratio:.3g} times the former one, as after a change of unit: only exact checks until units agree",
    ),
    "state_unit": W(
        "工况参数 {name} 超出历史范围，像换了单位或量程，暂停与工况有关的判断",
        "State column {name} lies outside all history, as after a change of unit or range: nothing that rests on it is judged",
    ),
    "state_missing": W(
        "工况参数 {name} 没有数据，暂停与工况有关的判断",
        "State column {name} has no values: nothing that rests on it is judged",
    ),
    "no_state": W(
        "没有可用的工况参数，只做精确检测和只看数据本身的检测",
        "There is no usable state column: only exact checks and those of the reports alone are made",
    ),
    "gate": W(
        "按工况预测的可决系数为 {r2:.2f}（不足 0.6），模型不得作为线索依据",
        "The model explains too little out of time (R² {r2:.2f}, needs 0.6): it may not accuse",
    ),
    "stale": W(
        "历史结束于 {days:.0f} 天前且中间无数据，需补充近期数据后再判断",
        "The history ended {days:.0f} days before and nothing lies between: give recent data first",
    ),
    "uncalibrated": W(
        "{days:.0f} 天内没有任何校准标记，读数漂移与真实变化无法区分，不作与工况有关的判断",
        "No mark of a calibration in {days:.0f} days: drift of the reading and real change cannot be told apart, so nothing that rests on operation is judged",
    ),
    "unmarked": W(
        "{days:.0f} 天的数据没有数据标记，无法知道是否做过校准，水平变化也可能是仪器漂移",
        "{days:.0f} days of data came without marks: whether it was calibrated is not known, and a change of level may be the instrument's drift",
    ),
    "identity": W(
        "历史上折算值与实测值、氧量就对不上，不做折算检查",
        "Conversion never held in the history: it is not checked",
    ),
}


def reason(code: str, column: str, **numbers: Any) -> Reason:
    text = REASONS[code]
    head = f"{column}: " if column else ""
    return Reason(
        code, column, W(head + text.zh.format(**numbers), head + text.en.format(**numbers))
    )
