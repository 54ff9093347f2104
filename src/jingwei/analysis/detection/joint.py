"""Several weak signs at once: no detector is sure, but so many are seldom unsure together.

The weight of a target at a row is the sum over its detectors of max(0, R + `FROM`), R = -ln of the rate
(per month) at which honest history shows the like. How rare that sum is, is counted on the history as
for every other stream, so that detectors which move together are not counted twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from jingwei.analysis.detection.calibration import Family, bend
from jingwei.analysis.detection.monitor import Floats

if TYPE_CHECKING:
    from jingwei.analysis.detection.suite import Suite

FROM = 1.5  # nats: signs that honest history shows up to 4.5 times a month count
NAME = "joint"
LEAST = 2  # detectors of a target from which their sum is looked at
Found = Mapping[tuple[str, str], Mapping[str, Floats]]


def signs(
    suite: Suite, found: Found, families: Mapping[tuple[str, str], Family]
) -> dict[str, dict[str, Floats]]:
    """target -> family -> weight of its sign at each row (T,), >= 0."""
    out: dict[str, dict[str, Floats]] = {}
    for (factor, family), group in found.items():
        if factor not in suite.history.targets or family == NAME:
            continue
        if suite.shares.get(family, 0.0) <= 0:
            continue
        if family == "step_at_gap":
            rarity = group["gap"]
        elif (factor, family) in families:
            rarity = families[factor, family].rarity(dict(group))[0]
        else:
            continue
        out.setdefault(factor, {})[family] = np.maximum(bend(rarity) + FROM, 0.0)
    return out


def weigh(
    suite: Suite, found: Found, families: Mapping[tuple[str, str], Family]
) -> dict[tuple[str, str], dict[str, Floats]]:
    """(target, "joint") -> {"all": sum of the signs (T,)}."""
    return {
        (target, NAME): {"all": np.sum(list(each.values()), axis=0)}
        for target, each in signs(suite, found, families).items()
        if len(each) >= LEAST
    }
