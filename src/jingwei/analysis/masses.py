"""The mass of every hour from concentration and flow, with what stands in for hours that are not valid.

Masses are filled where a concentration is never judged: flue gas by the quarter's capture rate with
the largest rate of the last 180, 720 or 2160 valid hours (S-75-*), wastewater with the mean of the
window before, concentration and flow each by itself, so that what was measured of an hour always
counts (S-356). Both rules are known from a secondary source.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from jingwei.analysis import validity
from jingwei.standards import formulas


@dataclass(frozen=True)
class Hours:
    """Consecutive hours of one point and factor, all (n,): measured values (NaN: none), `conc` in
    mg/m³ or mg/L, `flow` in m³/h; whether the plant stood still; whether the concentration and the
    flow were judged valid; whether one of them was out of control; whether a check was passed."""

    conc: npt.NDArray[np.float64]
    flow: npt.NDArray[np.float64]
    stopped: npt.NDArray[np.bool_]
    usable: npt.NDArray[np.bool_]
    flowed: npt.NDArray[np.bool_]
    out: npt.NDArray[np.bool_]
    checked: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Masses:
    """kg of each hour (NaN: nothing stands in), its state, the rule that filled it, and with which
    concentration and flow it was reckoned (flue gas: NaN where the rate itself was filled)."""

    kg: npt.NDArray[np.float64]
    state: npt.NDArray[np.int64]
    rule: npt.NDArray[np.int8]
    conc: npt.NDArray[np.float64]
    flow: npt.NDArray[np.float64]


def masses(hours: Hours, medium: str, quarter: npt.NDArray[Any]) -> Masses:
    """The mass of every hour. Sources: HJ 212-2017 App. D (8), (33); S-75-*, S-356 (secondary).

    An hour of wastewater in which valid flow was measured as none weighs nothing, whatever its
    concentration.
    """
    conc_good = hours.usable & np.isfinite(hours.conc) & (hours.conc >= 0)
    flow_good = hours.flowed & np.isfinite(hours.flow) & (hours.flow >= 0)
    conc = np.where(conc_good, hours.conc, np.nan)
    flow = np.where(flow_good, hours.flow, np.nan)
    good = conc_good & flow_good
    if medium == "water":
        good |= flow == 0
    state = _state(good, hours)
    if medium == "air":
        rate = np.where(good, formulas.emission_rate(conc, flow), np.nan)
        made = validity.substitute_75(rate, state, quarter, hours.checked)
        kg, rule = made.value, made.rule
        conc, flow = np.where(good, conc, np.nan), np.where(good, flow, np.nan)
    else:
        runs = flow != 0  # hours without flow have no concentration and part no gap of it
        of_conc = validity.substitute_356(conc[runs], _state(conc_good, hours)[runs])
        of_flow = validity.substitute_356(flow, _state(flow_good, hours))
        conc[runs], flow = of_conc.value, of_flow.value
        kg = np.where(flow == 0, 0.0, formulas.water_mass(flow, conc))
        rule = of_flow.rule.copy()
        both = np.minimum(rule[runs], of_conc.rule)  # below 0: one of them has no stand-in
        rule[runs] = np.where(both < 0, both, np.maximum(rule[runs], of_conc.rule))
        rule = np.where(flow == 0, of_flow.rule, rule)
    kg = np.where(state == validity.Hour.STOPPED, 0.0, kg)
    return Masses(kg, state, np.asarray(rule, dtype=np.int8), conc, flow)


def _state(good: npt.NDArray[np.bool_], hours: Hours) -> npt.NDArray[np.int64]:
    hour = validity.Hour
    without = np.where(hours.out, hour.OUT_OF_CONTROL, hour.INVALID)
    found = np.where(good, hour.VALID, np.where(hours.stopped, hour.STOPPED, without))
    return np.asarray(found, dtype=np.int64)
