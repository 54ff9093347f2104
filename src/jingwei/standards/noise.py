"""Day and night noise levels and their limits: GB 3096-2008 (ambient), GB 12348-2008 (at the
boundary of industrial enterprises).

Day is 06:00-22:00, night 22:00-06:00 (GB 3096-2008, 3.5), unless the local government says
otherwise. Equivalent levels add by energy (3.3). How sure: limits from memory of the standards.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

DAY: Final = range(6, 22)
NIGHT: Final = (22, 23, 0, 1, 2, 3, 4, 5)

# GB 3096-2008, table 1: class -> (day, night) in dB(A).
AMBIENT: Final = {
    "0": (50, 40),
    "1": (55, 45),
    "2": (60, 50),
    "3": (65, 55),
    "4a": (70, 55),
    "4b": (70, 60),
}
# GB 12348-2008, table 1: class of the area outside the boundary -> (day, night) in dB(A).
BOUNDARY: Final = {"0": (50, 40), "1": (55, 45), "2": (60, 50), "3": (65, 55), "4": (70, 55)}
# GB 3096-2008, 5.4 and GB 12348-2008, 4.1.2-4.1.3: the largest level in the night over the limit.
NIGHT_PEAK: Final = 15
BOUNDARY_FREQUENT: Final = 10
BOUNDARY_OCCASIONAL: Final = 15


def energy_mean(levels: Iterable[float]) -> float:
    """The equivalent level of equally long parts: 10 lg(mean of 10^(0.1 L)), in dB.

    Raises ValueError for no parts or one that is not finite.
    """
    given = list(levels)
    if not given or not all(math.isfinite(x) for x in given):
        raise ValueError("an equivalent level needs one finite level at least")
    # Taking the largest out first keeps the powers in range.
    top = max(given)
    return top + 10 * math.log10(math.fsum(10 ** (0.1 * (x - top)) for x in given) / len(given))


@dataclass(frozen=True, slots=True)
class DayNight:
    """Levels in dB(A); None where no hour of that part was measured.

    `day_hours` and `night_hours` say how many of the 16 and 8 hours were.
    """

    ld: float | None
    ln: float | None
    ldn: float | None
    day_hours: int
    night_hours: int


def day_night(hours: Sequence[float | None]) -> DayNight:
    """Ld, Ln and Ldn of one day from its 24 hourly equivalent levels, index 0 being 00:00-01:00.

    Ldn = 10 lg((16 10^(Ld/10) + 8 10^((Ln+10)/10)) / 24): the night counts 10 dB more. None or
    NaN: not measured. Raises ValueError for another number of hours.
    """
    if len(hours) != 24:
        raise ValueError(f"{len(hours)} hours: a day has 24")

    def part(which: Iterable[int]) -> list[float]:
        given = (hours[h] for h in which)
        return [x for x in given if x is not None and math.isfinite(x)]

    day, night = part(DAY), part(NIGHT)
    ld = energy_mean(day) if day else None
    ln = energy_mean(night) if night else None
    ldn = None if ld is None or ln is None else energy_mean([ld] * 16 + [ln + 10] * 8)
    return DayNight(ld, ln, ldn, len(day), len(night))


def limits(
    area: str, standard: Literal["GB 3096-2008", "GB 12348-2008"] = "GB 3096-2008"
) -> tuple[int, int]:
    """The day and night limits of an area class in dB(A). Raises ValueError for an unknown one."""
    table = AMBIENT if standard == "GB 3096-2008" else BOUNDARY
    if area not in table:
        raise ValueError(f"area class {area!r} of {standard}: wanted one of {', '.join(table)}")
    return table[area]
