"""Why something is not judged, in one sentence."""

from __future__ import annotations

from typing import Any

from jingwei.analysis.detection.finding import Reason, Words

W = Words

REASONS: dict[str, Words] = {
    "short": W(
        "历史只有 {days:.0f} 天，统计检测需要 60 天以上，只做精确检测",
        "The history has only {days:.0f} days; statistics need 60, so only exact checks are made",
    ),
    "empty": W("没有任何有效数据，无法判断", "There are no values at all: no judgement"),
    "missing": W(
        "缺失 {share:.0%}，超过一半，无法判断",
        "{share:.0%} of the values are missing: no judgement",
    ),
    "constant": W(
        "历史数据基本不变，看不出正常习惯，无法判断",
        "The history hardly ever changes, so nothing shows what is normal: no judgement",
    ),
    "unit": W(
        "数值水平变为原来的 {ratio:.3g} 倍，像换了单位，统一单位后才能判断",
        "The level is {ratio:.3g} times the former one, as after a change of unit: no judgement until units agree",
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
        "{days:.0f} 天内没有任何校准标记，读数漂移与真实变化无法区分，不判断水平变化",
        "No mark of a calibration in {days:.0f} days: drift of the reading and real change cannot be told apart, so levels are not judged",
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
