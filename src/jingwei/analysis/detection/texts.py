"""What a finding says: the sentence, the formula, what else could explain it, what would settle it.

Chinese as a duty officer writes it. A finding accuses nobody: sentences state what contradicts what.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from jingwei.analysis.detection import power
from jingwei.analysis.detection.explanations import (
    CALM,
    CLOCK,
    CONTROL,
    DRIFT,
    FALSE_MARK,
    FAULT,
    FORMAT,
    GAS,
    LOGGER,
    LOGS,
    MAINTENANCE,
    ON_SITE,
    PROCESS_CHANGE,
    RESEND,
    SENSOR,
    WORK,
    W,
)
from jingwei.analysis.detection.finding import Draft, Share, Words
from jingwei.analysis.detection.monitor import Monitor

VERSION = "1"
LEVEL = frozenset({"low", "cusum", "drift", "step_at_gap", "dilution", "high"})


@dataclass(frozen=True)
class Text:
    """name: of the detector. formula: how its score is computed. innocent: (explanation, the check
    that settles it). check: what to do next. zh, en: the sentence, from the finding's numbers."""

    name: Words
    formula: str
    innocent: tuple[tuple[Words, Words], ...]
    check: Words
    zh: Callable[[Mapping[str, Any]], str]
    en: Callable[[Mapping[str, Any]], str]


def _n(x: Any) -> str:
    return f"{x:.4g}" if isinstance(x, int | float) else "?"


def _earlier(m: Mapping[str, Any], language: str) -> str:
    """How many of the rows lie before the stretch that is judged."""
    n = m.get("rows_before")
    if not n:
        return ""
    return f"，其中 {n} 个在此之前" if language == "zh" else f", {n} of them before"


def _levels(m: Mapping[str, Any]) -> tuple[str, str]:
    if "reported_mean" not in m:
        return "", ""
    r, e = _n(m["reported_mean"]), _n(m["expected_mean"])
    return f"（上报均值 {r}，按工况应为 {e}）", f" (mean reported {r}, expected from operation {e})"


def _plain(
    zh: str, en: str
) -> tuple[Callable[[Mapping[str, Any]], str], Callable[[Mapping[str, Any]], str]]:
    return (lambda m: zh + _levels(m)[0]), (lambda m: en + _levels(m)[1])


DETECTORS: dict[str, Text] = {
    "const_run": Text(
        W("数据恒定", "Constant reports"),
        "run of equal reported values >= n, p = T * P(equal to previous) ** (n - 1), other channels moving",
        (FAULT, MAINTENANCE, LOGGER),
        LOGS,
        lambda m: (
            f"连续 {m['rows']} 个数据完全相同（{_n(m['value'])}{_earlier(m, 'zh')}），而同时段其他通道在变化"
        ),
        lambda m: (
            f"{m['rows']} consecutive values are identical ({_n(m['value'])}{_earlier(m, 'en')}) while other channels moved"
        ),
    ),
    "copy_exact": Text(
        W("数据复制", "Copied stretch"),
        "n consecutive values equal to those lag rows earlier, p = T^2 * P(two values equal) ** distinct",
        (RESEND, FAULT, MAINTENANCE),
        LOGS,
        lambda m: (
            f"连续 {m['rows']} 个数据与 {m['lag_rows']} 行之前的数据逐个相同（其中 {m['distinct']} 个不同数值{_earlier(m, 'zh')}）"
        ),
        lambda m: (
            f"{m['rows']} consecutive values equal those {m['lag_rows']} rows earlier one by one ({m['distinct']} distinct values{_earlier(m, 'en')})"
        ),
    ),
    "copy_scaled": Text(
        W("缩放复制", "Scaled copy"),
        "correlation of 24 h of changes with an earlier 24 h >= 0.9995; y = factor * earlier + offset",
        (RESEND, LOGGER, MAINTENANCE),
        LOGS,
        lambda m: f"连续 {m['rows']} 个数据是 {m['lag_rows']} 行之前数据的 {_n(m['factor'])} 倍",
        lambda m: (
            f"{m['rows']} consecutive values are {_n(m['factor'])} times those {m['lag_rows']} rows earlier"
        ),
    ),
    "convert_identity": Text(
        W("折算不符", "Conversion does not hold"),
        "converted = raw * (21 - O2ref) / (21 - O2): HJ 212-2017 App. D (26)-(28); relative error > tolerance",
        (
            LOGGER,
            WORK,
            (
                W("小时值由分钟折算值平均", "Hourly values averaged from converted minutes"),
                W("用分钟数据重算", "Recompute from minute data"),
            ),
        ),
        W(
            "核对数采仪折算公式、基准氧和氧量取值",
            "Check formula, reference oxygen and source of O2 in the logger",
        ),
        lambda m: (
            f"上报折算值 {_n(m['reported'])} 与按实测值和氧量重算的 {_n(m['recomputed'])} 不符，共 {m['rows']} 个时段"
        ),
        lambda m: (
            f"Reported converted value {_n(m['reported'])}, recomputed from raw value and O2 {_n(m['recomputed'])}; {m['rows']} rows"
        ),
    ),
    "average_identity": Text(
        W("均值不符", "Means do not agree"),
        "reported mean = mean of the reported finer values (at least 75 % of them there)",
        (LOGGER, RESEND, MAINTENANCE),
        LOGS,
        lambda m: f"上报均值 {_n(m['reported'])} 与细时段数据的均值 {_n(m['recomputed'])} 不符",
        lambda m: (
            f"Reported mean {_n(m['reported'])}, mean of the finer values {_n(m['recomputed'])}"
        ),
    ),
    "mark_contradiction": Text(
        W("标记矛盾", "Mark contradicts state"),
        "mark F (stopped) while >= 2 of flow, load, power > 10 % of their median, O2 < 17 %, T > 42 °C, concentration > 30 % of the limit (A18-13), one of them O2, load or concentration",
        (
            FALSE_MARK,
            (
                W(
                    "停运后余热、余气或风机空转",
                    "Residual heat or gas, or a fan running on, after stopping",
                ),
                W("查停炉时间、燃料和风机电流", "Time of stopping, fuel, fan current"),
            ),
            SENSOR,
        ),
        W(
            "调取生产记录和用电数据，核实标记为停运的时段是否生产",
            "Get production records and electricity data for the hours marked as stopped",
        ),
        lambda m: f"标记为停运的 {m['rows']} 个时段内，多个通道显示正在运行",
        lambda m: f"Marked as stopped for {m['rows']} rows while several channels show running",
    ),
    "param_change": Text(
        W("参数变动", "Setting changed"),
        "value of a setting differs from the one before, no mark C or M between the two readings and 24 h around them",
        (WORK, MAINTENANCE, LOGGER),
        W(
            "核对参数备案值与仪器现值，查操作日志",
            "Compare registered and present settings; read the instrument's log",
        ),
        lambda m: (
            f"仪器参数由 {_n(m['before'])} 改为 {_n(m['after'])}，两次读取之间及前后 24 小时无校准或维护标记"
        ),
        lambda m: (
            f"A setting changed from {_n(m['before'])} to {_n(m['after'])} with no mark of calibration or maintenance between the readings or within 24 h"
        ),
    ),
    "physical_bounds": Text(
        W("超出物理可能", "Beyond physical bounds"),
        "at least two consecutive rows outside the stated bound",
        (SENSOR, MAINTENANCE, DRIFT),
        GAS,
        lambda m: (
            f"{m['rows']} 个数据物理上不可能：{m['rule']}（{_n(m['lowest'])} 至 {_n(m['highest'])}）"
        ),
        lambda m: (
            f"{m['rows']} values are physically impossible: {m['rule']} ({_n(m['lowest'])} to {_n(m['highest'])})"
        ),
    ),
}


def _add(
    key: str,
    name: Words,
    formula: str,
    innocent: tuple[tuple[Words, Words], ...],
    check: Words,
    zh: str,
    en: str,
) -> None:
    a, b = _plain(zh, en)
    DETECTORS[key] = Text(name, formula, innocent, check, a, b)


_add(
    "digits",
    W("末位数字", "Last digits"),
    "G = 2 sum n_d ln(n_d / (n p_d)) of the last digits against the outlet's own, chi-squared with 9 degrees of freedom; repeats left out",
    (FORMAT, LOGGER, MAINTENANCE),
    LOGS,
    "末位数字分布不像仪器读数，偏向某些数字",
    "The last digits are not spread as instrument readings are",
)
_add(
    "quiet",
    W("波动过小", "Too little movement"),
    "-ln(mean squared change of the window / that of the last 60 days, lagged 7)",
    (CALM, FAULT, LOGGER),
    LOGS,
    "数据波动远小于本排口平时",
    "The reports move far less than this outlet's usually do",
)
_add(
    "still",
    W("不随工况波动", "Stiller than the process"),
    "-ln(mean (dy)^2 / (mean (d expected)^2 + honest noise))",
    (CALM, FAULT, LOGGER),
    LOGS,
    "按当时工况变化，数据应有的波动没有出现",
    "The process moved, the reports hardly did",
)
_add(
    "smooth",
    W("过于平滑", "Too smooth"),
    "-ln(mean squared second difference / mean squared first difference)",
    (LOGGER, CALM, FAULT),
    LOGS,
    "数据曲线过于平滑，像被平均处理过",
    "The curve is too smooth, as if averaged",
)
_add(
    "rough",
    W("波动过大", "Too rough"),
    "ln(mean squared change of the window / that of the last 60 days, lagged 7)",
    (DRIFT, PROCESS_CHANGE, FAULT),
    GAS,
    "数据跳动远大于本排口平时",
    "The reports jump far more than this outlet's usually do",
)
_add(
    "restless",
    W("随机跳动", "Moves without cause"),
    "ln(mean squared change of the residual / that of the last 60 days, lagged 7)",
    (DRIFT, FAULT, PROCESS_CHANGE),
    LOGS,
    "数据的跳动与工况无关，且大于平时",
    "The reports jump without regard to the process, more than usual",
)
_add(
    "white",
    W("像随机数", "Like random numbers"),
    "ln(mean (dz)^2 / var z): von Neumann ratio of the standardised residual",
    (DRIFT, FAULT, LOGGER),
    LOGS,
    "与工况的偏差前后互不相关，像随机数而不像烟气",
    "Deviations from the expected are unrelated from row to row, as random numbers are",
)
_add(
    "spread",
    W("偏差散布异常", "Unusual scatter"),
    "ln standard deviation of the standardised residual",
    (DRIFT, PROCESS_CHANGE, FAULT),
    GAS,
    "与工况的偏差散布异常",
    "Deviations from the expected scatter unusually",
)
_add(
    "ceiling",
    W("高值被削平", "Flat ceiling"),
    "-ln((largest - k-th largest) / usual change), k = hours / 12",
    (CONTROL, LOGGER, CALM),
    LOGS,
    "时段内最高的一批数值挤在一起，像被上限截断",
    "The highest values lie within a hair of each other, as if cut off",
)
_add(
    "replay",
    W("曲线重放", "Replay"),
    "-ln(1 - r), r = best correlation of 24 h of changes with any earlier 24 h (90 days)",
    (RESEND, CALM, FAULT),
    LOGS,
    "24 小时曲线与此前某段几乎一样",
    "24 hours follow an earlier stretch almost exactly",
)
_add(
    "daily_replay",
    W("按日重放", "Daily replay"),
    "-ln(mean (y_t - y_(t-L))^2 / (mean (e_t - e_(t-L))^2 + noise)), L = 24 … 168 h",
    (RESEND, CALM, FAULT),
    LOGS,
    "数据逐日重复的程度高于工况本身",
    "The reports repeat from day to day more than the process does",
)
_add(
    "low",
    W("低于应有水平", "Below the expected"),
    "-mean z, z = (reported - expected) / sigma",
    (DRIFT, PROCESS_CHANGE, MAINTENANCE),
    GAS,
    "上报浓度持续低于按工况应有的水平",
    "Reports stay below what the operation makes likely",
)
_add(
    "high",
    W("高于应有水平", "Above the expected"),
    "mean z, z = (reported - expected) / sigma",
    (
        DRIFT,
        PROCESS_CHANGE,
        (
            W("治理设施故障", "A fault of the treatment"),
            W("查治理设施运行参数", "Check the treatment's parameters"),
        ),
    ),
    GAS,
    "上报浓度持续高于按工况应有的水平",
    "Reports stay above what the operation makes likely",
)
_add(
    "cusum",
    W("累计偏低", "Cumulative shortfall"),
    "S = max(0, keep S - z - k)",
    (DRIFT, PROCESS_CHANGE, MAINTENANCE),
    GAS,
    "与工况相比的偏低不断累计",
    "The shortfall against the operation keeps adding up",
)
_add(
    "drift",
    W("缓慢走低", "Slow decline"),
    "mean z of 20 to 80 days before - mean z of the window",
    (DRIFT, PROCESS_CHANGE, MAINTENANCE),
    GAS,
    "与前 20 至 80 天相比，同样工况下的浓度在走低",
    "At the same operation the reports have declined against 20 to 80 days before",
)
_add(
    "step_at_gap",
    W("中断后下台阶", "Step after a gap"),
    "(mean z before the gap - mean z after it) / its honest deviation",
    (WORK, DRIFT, PROCESS_CHANGE),
    GAS,
    "数据中断（或校准）之后，同样工况下的浓度下了一个台阶",
    "After a gap (or calibration) reports stepped down at the same operation",
)
_add(
    "decouple",
    W("与工况脱钩", "Decoupled from operation"),
    "(1 - slope of reported on expected) / its error",
    (FAULT, PROCESS_CHANGE, CONTROL),
    ON_SITE,
    "浓度不再随工况变化",
    "The reports no longer follow the operation",
)
_add(
    "deaf",
    W("对工况无反应", "Deaf to operation"),
    "-ln(share of the variance of the reports that a linear fit to the process within the window explains)",
    (FAULT, PROCESS_CHANGE, CONTROL),
    ON_SITE,
    "数据的起伏与任何工况参数都对不上，像由程序生成",
    "The reports move without any relation to the process, as if a program wrote them",
)
_add(
    "joint",
    W("多项弱信号并发", "Several weak signs at once"),
    "sum over the detectors of max(0, 1.5 - ln(rate per month)), its own rate counted on the history",
    (FAULT, PROCESS_CHANGE, MAINTENANCE),
    ON_SITE,
    "多项检测同时出现弱信号，这种巧合很少见",
    "Several detectors show weak signs at the same time, which seldom happens by chance",
)
_add(
    "deficit",
    W("限值处缺数", "Missing exceedances"),
    "(expected - reported number above the limit) / Poisson-binomial error; heaping below the limit",
    (CONTROL, LOGGER, PROCESS_CHANGE),
    LOGS,
    "按工况应出现的高值没有出现，数值堆在限值之下",
    "High values that the operation makes likely are absent; values heap below the limit",
)
_add(
    "covert",
    W("分时段偏低", "Low at some hours"),
    "mean z of the other hours - mean z of the block of hours, over days",
    (CLOCK, PROCESS_CHANGE, CONTROL),
    ON_SITE,
    "每天固定时段（如夜间）浓度低于按工况应有的水平",
    "At some hours of the day (such as night) reports are below the expected",
)
_add(
    "hot_missing",
    W("该超标时缺数", "Missing when hot"),
    "-log10 P(X >= k) of gaps that fall on likely exceedances, binomial",
    (
        FAULT,
        MAINTENANCE,
        (
            W("高负荷时通信或仪器易故障", "The instrument or line fails under high load"),
            W("查故障记录与负荷的关系", "Compare fault records with the load"),
        ),
    ),
    LOGS,
    "数据缺失多落在按工况可能超标的时段",
    "Gaps fall on the hours in which an exceedance was likely",
)
_add(
    "channel",
    W("通道失配", "Channel off its curve"),
    "|mean z| of the channel against the other channels",
    (SENSOR, PROCESS_CHANGE, MAINTENANCE),
    W(
        "用便携仪比对氧量、流量等通道，查采样点漏风",
        "Compare the channel with a portable instrument; look for air leaks",
    ),
    "该通道读数与其他通道的关系改变",
    "The channel's relation to the other channels changed",
)
_add(
    "dilution",
    W("多组分同降", "All gases low together"),
    "-sum z / sqrt(n), plus |mean z of O2|",
    (
        DRIFT,
        PROCESS_CHANGE,
        (
            W("采样探头漏气", "Air leaking into the probe"),
            W("检漏并通标准气", "Leak test and standard gas"),
        ),
    ),
    ON_SITE,
    "各污染物同时低于应有水平，像被稀释",
    "All pollutants are below the expected together, as if diluted",
)
_add(
    "peer",
    W("偏离同类", "Departs from peers"),
    "ln(own / median of peers), last days against 20 to 80 days before",
    (PROCESS_CHANGE, DRIFT, MAINTENANCE),
    ON_SITE,
    "与同类排口相比的水平改变",
    "The level against comparable outlets changed",
)
_add(
    "facility_power",
    W("治理停电而数据不升", "Treatment off, reports calm"),
    "(2 - mean z while treatment power is below half its median) * sqrt(hours)",
    (SENSOR, PROCESS_CHANGE, CONTROL),
    ON_SITE,
    "治理设施用电下降时，上报浓度没有相应升高",
    "Reports did not rise when the treatment's power fell",
)
_add(
    "fingerprint",
    W("一周特征不像本排口", "Not this outlet's week"),
    "Mahalanobis distance of the week's features from the outlet's own",
    (PROCESS_CHANGE, FAULT, MAINTENANCE),
    LOGS,
    "这一周的数据特征不像本排口平时",
    "The week's features are not those of this outlet",
)


def _power(key: str) -> Text:
    told = power.TOLD[key]
    return Text(
        power.NAMES[key],
        power.FORMULA[key],
        (power.EMPTY_RUN, power.REWIRED, MAINTENANCE if key != "power_sum" else SENSOR),
        ON_SITE,
        lambda m: told.zh.format(**m),
        lambda m: told.en.format(**m),
    )


DETECTORS |= {key: _power(key) for key in power.NAMES}


def sentence(
    d: Draft, factor: str, monitor: Monitor, numbers: Mapping[str, Any], share: Share | None
) -> Words:
    """What is contradictory, in one sentence."""
    text = DETECTORS[d.detector]
    a, b = monitor.time(d.first), monitor.time(d.last) + monitor.step
    zh = f"{factor}：{a:%Y-%m-%d %H:%M} 至 {b:%Y-%m-%d %H:%M}，{text.zh(numbers)}。"
    en = f"{factor}, {a:%Y-%m-%d %H:%M} to {b:%Y-%m-%d %H:%M}: {text.en(numbers)}."
    return Words(zh, en)
