"""The data model of SensorThings over points and the lake: sets, links, properties (18-088 §8)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.utils.translation import gettext as _

from jingwei.bureau.language import factor_name
from jingwei.bureau.monitoring import selectors as monitoring
from jingwei.bureau.registry.models import Point
from jingwei.telemetry.lake import Latest

MICROSECOND: Final = timedelta(microseconds=1)
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
LENGTH: Final = {
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
}
SETS: Final = (
    "Things", "Locations", "HistoricalLocations", "Datastreams", "Sensors", "ObservedProperties",
    "Observations", "FeaturesOfInterest",
)  # fmt: skip
# Set → navigation property → (set it leads to, whether to many).
LINKS: Final[dict[str, dict[str, tuple[str, bool]]]] = {
    "Things": {
        "Datastreams": ("Datastreams", True),
        "Locations": ("Locations", True),
        "HistoricalLocations": ("HistoricalLocations", True),
    },
    "Locations": {
        "Things": ("Things", True),
        "HistoricalLocations": ("HistoricalLocations", True),
    },
    "HistoricalLocations": {},
    "Datastreams": {
        "Thing": ("Things", False),
        "Sensor": ("Sensors", False),
        "ObservedProperty": ("ObservedProperties", False),
        "Observations": ("Observations", True),
    },
    "Sensors": {"Datastreams": ("Datastreams", True)},
    "ObservedProperties": {"Datastreams": ("Datastreams", True)},
    "Observations": {
        "Datastream": ("Datastreams", False),
        "FeatureOfInterest": ("FeaturesOfInterest", False),
    },
    "FeaturesOfInterest": {"Observations": ("Observations", True)},
}
CONFORMANCE: Final = [
    f"http://www.opengis.net/spec/iot_sensing/1.1/req/{part}"
    for part in (
        "datamodel", "resource-path/resource-path-to-entities", "request-data/order",
        "request-data/expand", "request-data/select", "request-data/status-code",
        "request-data/query-status-code", "request-data/orderby", "request-data/top",
        "request-data/skip", "request-data/count", "request-data/filter",
        "request-data/pagination",
    )
]  # fmt: skip
GEOJSON: Final = "application/geo+json"
MEASUREMENT: Final = "http://www.opengis.net/def/observationType/OGC-OM/2.0/OM_Measurement"
# What filters, orders and selections may name.
PROPERTIES: Final = {
    "Things": {"@iot.id", "name", "description", "properties"},
    "Locations": {"@iot.id", "name", "description", "encodingType", "location", "properties"},
    "HistoricalLocations": {"@iot.id", "time"},
    "Datastreams": {
        "@iot.id", "name", "description", "observationType", "unitOfMeasurement", "observedArea",
        "phenomenonTime", "resultTime", "properties",
    },
    "Sensors": {"@iot.id", "name", "description", "encodingType", "metadata", "properties"},
    "ObservedProperties": {"@iot.id", "name", "definition", "description", "properties"},
    "Observations": {
        "@iot.id", "phenomenonTime", "result", "resultTime", "resultQuality", "validTime",
        "parameters",
    },
    "FeaturesOfInterest": {
        "@iot.id", "name", "description", "encodingType", "feature", "properties",
    },
}  # fmt: skip


@dataclass(frozen=True)
class Entity:
    """One entity: what it is of. `latest` and `row` where a datastream or observation is meant."""

    kind: str
    point: Point | None = None
    factor: str = ""
    resolution: str = ""
    latest: Latest | None = None
    row: dict[str, Any] | None = None

    @property
    def id(self) -> str:
        if self.kind == "ObservedProperties":
            return self.factor
        assert self.point is not None
        if self.kind not in ("Datastreams", "Observations"):
            return self.point.key
        stream = f"{self.point.key}-{self.factor}-{self.resolution}"
        if self.row is None:
            return stream
        return f"{stream}-{(self.row['time'] - EPOCH) // MICROSECOND}"


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _nan(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _things(entity: Entity) -> dict[str, Any]:
    p = entity.point
    assert p is not None
    enterprise = p.enterprise
    return {
        "name": p.name,
        "description": str(enterprise or p.get_kind_display()),
        "properties": {
            "mn": p.mn,
            "st": p.st,
            "kind": p.kind,
            "region": p.region_id,
            "enterprise": enterprise.uscc if enterprise else None,
            "outlet": p.outlet.code if p.outlet else None,
            "station": p.station_code or None,
            "enabled": p.enabled,
        },
    }


def _locations(entity: Entity) -> dict[str, Any]:
    p = entity.point
    assert p is not None
    return {
        "name": p.name,
        "description": p.region.label,
        "encodingType": GEOJSON,
        "location": {"type": "Point", "coordinates": [p.longitude, p.latitude]},
    }


def _featuresofinterest(entity: Entity) -> dict[str, Any]:
    found = _locations(entity)
    found["feature"] = found.pop("location")
    return found


def _sensors(entity: Entity) -> dict[str, Any]:
    p = entity.point
    assert p is not None
    return {
        "name": p.mn,
        "description": _("Automatic monitoring equipment, HJ 212-%s") % p.version,
        "encodingType": "text/plain",
        "metadata": f"HJ 212-{p.version}; MN={p.mn}; ST={p.st}",
    }


def _observedproperties(entity: Entity) -> dict[str, Any]:
    return {
        "name": factor_name(entity.factor),
        "definition": f"urn:x-hj:factor:{entity.factor}",
        "description": entity.factor,
    }


def _datastreams(entity: Entity) -> dict[str, Any]:
    p = entity.point
    assert p is not None
    unit = monitoring.value_unit(entity.factor, p)
    name = factor_name(entity.factor, p.version)
    found: dict[str, Any] = {
        "name": f"{p.name} {name}",
        "description": f"{entity.factor} {entity.resolution}",
        "observationType": MEASUREMENT,
        "unitOfMeasurement": {"name": unit or None, "symbol": unit or None, "definition": None},
        "observedArea": {"type": "Point", "coordinates": [p.longitude, p.latitude]},
        "properties": {"resolution": entity.resolution, "factor": entity.factor},
    }
    return found


def _observation(entity: Entity) -> dict[str, Any]:
    row = entity.row
    assert row is not None
    begin = _text(row["time"])
    length = LENGTH.get(entity.resolution)
    extra = {
        name: row.get(name)
        for name in ("flag", "min", "max", "cou", "zs", "zs_min", "zs_max")
        if row.get(name) is not None and not _nan(row.get(name))
    }
    return {
        "phenomenonTime": f"{begin}/{_text(row['time'] + length)}" if length else begin,
        "resultTime": _text(row["received"]),
        "result": None if _nan(row["value"]) else row["value"],
        **({"parameters": extra} if extra else {}),
    }


BODIES: Final[dict[str, Callable[[Entity], dict[str, Any]]]] = {
    "Things": _things,
    "Locations": _locations,
    "Datastreams": _datastreams,
    "Sensors": _sensors,
    "ObservedProperties": _observedproperties,
    "Observations": _observation,
    "FeaturesOfInterest": _featuresofinterest,
}
