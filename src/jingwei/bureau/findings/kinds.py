"""The eleven scenario kinds as data: what is asked of each, what it may be merged with.

One table feeds the form, the import with its template, the machine interface and the page. The
distances, times and severities are this system's own choices, not a standard's: they say what is
suggested to a person, who decides.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from jingwei.bureau.findings.models import Kind

PROBLEMS = (
    ("smoke", _("Smoke, dust or odour")),
    ("sewage", _("Waste water or black water")),
    ("waste", _("Solid or hazardous waste")),
    ("noise", pgettext_lazy("problem", "Noise")),
    ("idle", _("Treatment facility not running")),
    ("other", pgettext_lazy("problem", "Other")),
)
CLASSES = tuple((c, c) for c in ("Ⅰ", "Ⅱ", "Ⅲ", "Ⅳ", "Ⅴ", "劣Ⅴ"))  # GB 3838-2002


@dataclass(frozen=True)
class Input:
    """One thing that is asked about a finding; its answer stands in `facts` under `name`.

    `kind`: number, line, choice, factor (a code of HJ 524/525 or a name), bool.
    """

    name: str
    label: Any
    kind: str = "line"
    unit: str = ""
    choices: tuple[tuple[str, Any], ...] = ()
    required: bool = False
    help: Any = ""

    @property
    def caption(self) -> str:
        return f"{self.label} ({self.unit})" if self.unit else str(self.label)


@dataclass(frozen=True)
class Scenario:
    """`near` metres and `within` hours: what lies so close is suggested for merging, with findings
    of the same kind and of `joins`. `point`: a monitoring point belongs to it. `extent`: the input
    that gives the width in metres of what is drawn on the map."""

    kind: Kind
    about: Any
    inputs: tuple[Input, ...]
    near: float
    within: float
    joins: tuple[Kind, ...] = ()
    severity: int = 2
    point: bool = False
    photos: bool = False
    extent: str = ""
    innocent: tuple[Any, ...] = field(default=())
    check: Any = ""


_FACTOR = Input(
    "factor", _("Factor"), "factor", help=_("Code of HJ 524/525 or name, for example a21026 or SO₂")
)
_VALUE = Input("value", _("Measured value"), "number")
_UNIT = Input("unit", _("Unit"), help=_("As measured, for example mg/m³"))

SCENARIOS: dict[str, Scenario] = {
    s.kind.value: s
    for s in (
        Scenario(
            Kind.EXCEEDANCE,
            _("A valid value of an automatic monitor lies over the limit."),
            (
                Input("factor", _("Factor"), "factor", required=True, help=_FACTOR.help),
                Input("highest", _("Worst value"), "number", required=True),
                Input("limit", _("Limit"), "number", required=True),
                _UNIT,
                Input("source", _("Source of the limit")),
            ),
            near=200,
            within=24,
            joins=(Kind.FALSIFICATION, Kind.POWER, Kind.OFFLINE),
            point=True,
            innocent=(
                _("Start-up, shut-down or low load that was not marked in time."),
                _("Calibration, drift or fault of the analyser that was not marked."),
            ),
            check=_("Compare analyser, logger and platform; check condition and treatment records."),
        ),
        Scenario(
            Kind.FALSIFICATION,
            _("Data or device look as if somebody had interfered. A suspicion, not a verdict."),
            (
                Input(
                    "method",
                    _("Suspected way"),
                    "choice",
                    choices=(
                        ("sampling", _("Sampling interfered with or diluted")),
                        ("parameter", _("Parameters of the analyser changed")),
                        ("software", _("Values replaced or simulated by software")),
                        ("constant", _("Values constant, repeated or capped")),
                        ("record", _("Forged records of operation or calibration")),
                        ("other", pgettext_lazy("problem", "Other")),
                    ),
                    required=True,
                ),
                _FACTOR,
                Input("signs", _("What points to it"), required=True),
            ),
            near=200,
            within=72,
            joins=(Kind.EXCEEDANCE, Kind.POWER, Kind.OFFLINE),
            severity=3,
            point=True,
            photos=True,
            innocent=(
                _("Stable process with little variation."),
                _("Fault or saturation of the analyser, or a frozen logger."),
            ),
            check=_("Secure parameters, logs and video first; go without announcement."),
        ),
        Scenario(
            Kind.OFFLINE,
            _("A monitor sends nothing, or too late."),
            (
                Input("silent_hours", _("Hours without data"), "number", "h", required=True),
                Input("said", _("Reason given by the operator")),
            ),
            near=200,
            within=24,
            joins=(Kind.EXCEEDANCE, Kind.FALSIFICATION),
            severity=1,
            point=True,
            innocent=(_("Power cut or line fault."), _("Reported maintenance or shut-down.")),
            check=_("Ask the operator; look at power, line and logger on the spot."),
        ),
        Scenario(
            Kind.POWER,
            _("Production uses electricity, treatment does not, or the other way round."),
            (
                Input("facility", _("Treatment facility"), required=True),
                Input("production_kwh", _("Electricity of production"), "number", "kWh"),
                Input("treatment_kwh", _("Electricity of treatment"), "number", "kWh"),
                Input("usual_ratio", _("Usual ratio of treatment to production"), "number"),
            ),
            near=500,
            within=72,
            joins=(Kind.EXCEEDANCE, Kind.FALSIFICATION),
            point=True,
            innocent=(
                _("Meter at another circuit, or facility with its own supply."),
                _("Production without emission, such as idling or lighting."),
            ),
            check=_("Read the meters on the spot; see whether the facility runs."),
        ),
        Scenario(
            Kind.AIR_HOTSPOT,
            _("The air at one place is clearly worse than around it."),
            (
                Input("factor", _("Factor"), "factor", required=True, help=_FACTOR.help),
                Input("value", _("Measured value"), "number", required=True),
                Input("background", _("Value around it"), "number"),
                _UNIT,
                Input("wind_direction", _("Wind from"), "number", "°"),
                Input("wind_speed", _("Wind speed"), "number", "m/s"),
                Input("extent_m", _("Width of the spot"), "number", "m"),
            ),
            near=1000,
            within=6,
            joins=(Kind.SATELLITE, Kind.FIRE, Kind.PATROL, Kind.COMPLAINT, Kind.EXCEEDANCE),
            extent="extent_m",
            innocent=(
                _("A source right beside the sensor, such as cooking or a parked lorry."),
                _("Drift or fault of a low-cost sensor; high humidity."),
            ),
            check=_("Walk upwind with a portable instrument; look for smoke, dust and odour."),
        ),
        Scenario(
            Kind.WATER,
            _("The water of a section or river reach got worse."),
            (
                Input("section", _("Section or reach"), required=True),
                _FACTOR,
                _VALUE,
                _UNIT,
                Input("target", _("Target class"), "choice", choices=CLASSES),
                Input("found", _("Class found"), "choice", choices=CLASSES),
            ),
            near=2000,
            within=72,
            joins=(Kind.EXCEEDANCE, Kind.PATROL, Kind.COMPLAINT),
            photos=True,
            innocent=(
                _("Rain, thaw or release from a dam."),
                _("Algae or fault of the automatic station."),
            ),
            check=_("Sample up and down the reach; look at outlets and storm drains."),
        ),
        Scenario(
            Kind.SATELLITE,
            _("A grid cell seen from space stands out."),
            (
                Input(
                    "gas",
                    _("What was seen"),
                    "choice",
                    choices=(
                        ("no2", "NO₂"),
                        ("hcho", _("Formaldehyde (sign of VOC)")),
                        ("so2", "SO₂"),
                        ("aod", _("Aerosol optical depth")),
                        ("heat", _("Heat anomaly")),
                    ),
                    required=True,
                ),
                Input("satellite", _("Satellite and product"), required=True),
                _VALUE,
                Input("background", _("Value around it"), "number"),
                _UNIT,
                Input("cell_m", _("Width of the cell"), "number", "m", required=True),
            ),
            near=3000,
            within=48,
            joins=(Kind.AIR_HOTSPOT, Kind.FIRE),
            severity=1,
            extent="cell_m",
            innocent=(
                _("Clouds, snow or bright ground disturb the retrieval."),
                _("Transport from outside the cell."),
            ),
            check=_("Compare the next pass and the ground stations; narrow down the sources."),
        ),
        Scenario(
            Kind.BARE_LAND,
            _("Bare soil that is neither covered nor green."),
            (
                Input("area_m2", _("Bare area"), "number", "m²", required=True),
                Input(
                    "site",
                    _("Kind of site"),
                    "choice",
                    choices=(
                        ("construction", _("Construction site")),
                        ("demolition", _("Demolition site")),
                        ("idle", _("Idle land")),
                        ("yard", _("Storage yard")),
                        ("other", pgettext_lazy("problem", "Other")),
                    ),
                ),
                Input("covered", _("Covered share"), "number", "%"),
                Input("builder", _("Builder or owner")),
            ),
            near=300,
            within=720,
            joins=(Kind.PATROL, Kind.COMPLAINT, Kind.SATELLITE),
            severity=1,
            photos=True,
            innocent=(_("Work under way that keeps the soil wet."), _("An old picture.")),
            check=_("See whether it is covered, green or wetted; photograph all sides."),
        ),
        Scenario(
            Kind.FIRE,
            _("Straw, leaves or rubbish burn in the open, or a satellite saw a fire point."),
            (
                Input(
                    "seen_by",
                    _("Seen by"),
                    "choice",
                    choices=(
                        ("satellite", _("Satellite")),
                        ("camera", _("Camera on a tower")),
                        ("drone", _("Drone")),
                        ("person", _("Person")),
                    ),
                    required=True,
                ),
                Input("burning", _("What burns")),
                Input("frp_mw", _("Radiative power"), "number", "MW"),
                Input("area_m2", _("Burnt area"), "number", "m²"),
            ),
            near=1000,
            within=12,
            joins=(Kind.SATELLITE, Kind.AIR_HOTSPOT, Kind.PATROL, Kind.COMPLAINT),
            severity=3,
            photos=True,
            innocent=(
                _("A flare, furnace or solar plant seen as fire."),
                _("A permitted burning or a wildfire drill."),
            ),
            check=_("Go at once; put it out, find who lit it, photograph the trace."),
        ),
        Scenario(
            Kind.PATROL,
            _("Somebody on patrol, a camera or a drone saw a problem."),
            (
                Input(
                    "means",
                    _("Means"),
                    "choice",
                    choices=(
                        ("foot", _("On foot")),
                        ("vehicle", _("Vehicle")),
                        ("video", _("Video")),
                        ("drone", _("Drone")),
                    ),
                    required=True,
                ),
                Input("problem", _("Problem"), "choice", choices=PROBLEMS, required=True),
                Input("seen", _("What was seen"), required=True),
            ),
            near=300,
            within=72,
            joins=(Kind.COMPLAINT, Kind.BARE_LAND, Kind.FIRE, Kind.WATER, Kind.AIR_HOTSPOT),
            photos=True,
            check=_("Go there, find who is responsible, photograph."),
        ),
        Scenario(
            Kind.COMPLAINT,
            _("Somebody complains or blows the whistle. Who it was stands apart, encrypted."),
            (
                Input(
                    "channel",
                    _("Channel"),
                    "choice",
                    choices=(
                        ("12345", _("Hotline 12345")),
                        ("12369", _("Platform 12369")),
                        ("letter", _("Letter or visit")),
                        ("web", _("Public page")),
                        ("other", pgettext_lazy("problem", "Other")),
                    ),
                    required=True,
                ),
                Input("problem", _("Problem"), "choice", choices=PROBLEMS, required=True),
                Input(
                    "said",
                    _("What was reported"),
                    required=True,
                    help=_("No name, telephone number or address of the reporter here."),
                ),
            ),
            near=500,
            within=72,
            joins=(Kind.PATROL, Kind.BARE_LAND, Kind.FIRE, Kind.WATER, Kind.AIR_HOTSPOT),
            photos=True,
            innocent=(
                _("A dispute between neighbours."),
                _("Another source than the one that is named."),
            ),
            check=_("Go there at the time of day that was named; do not tell who reported."),
        ),
    )
}  # fmt: skip


def may_join(a: str, b: str) -> bool:
    """Whether findings of these two kinds may be one episode."""
    return a == b or b in SCENARIOS[a].joins or a in SCENARIOS[b].joins
