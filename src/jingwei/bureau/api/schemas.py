"""What goes over the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from ninja import Field, Schema
from pydantic import ConfigDict

from jingwei.bureau.findings.kinds import SCENARIOS

KindName = Literal[tuple(SCENARIOS)]  # type: ignore[valid-type]


class FindingIn(Schema):
    """A finding to be filed. `facts`: what the kind asks for, by name; see the templates of the
    import. Times in ISO 8601; without a zone they are local."""

    model_config = ConfigDict(extra="forbid")

    kind: KindName
    reference: str | None = Field(
        None, min_length=1, max_length=60, description="Your own number: again is the same finding"
    )
    title: str | None = Field(None, max_length=200)
    began: str = Field(max_length=40, examples=["2026-11-01T08:00:00+08:00"])
    ended: str | None = Field(None, max_length=40)
    longitude: float
    latitude: float
    datum: Literal["wgs84", "gcj02", "bd09"] = "wgs84"
    region: str | None = Field(None, max_length=60, description="Code or name; else by the place")
    address: str | None = Field(None, max_length=200)
    enterprise: str | None = Field(
        None, max_length=120, description="Unified social credit code or full name"
    )
    point: str | None = Field(None, max_length=40, description="MN-ST")
    severity: Literal[1, 2, 3] | None = None
    confidence: str | None = Field(None, max_length=200)
    innocent: list[str] = Field(default_factory=list, max_length=20)
    next_check: str | None = Field(None, max_length=300)
    facts: dict[str, Any] = Field(default_factory=dict)


class BatchIn(Schema):
    model_config = ConfigDict(extra="forbid")

    findings: list[FindingIn] = Field(min_length=1, max_length=500)


class ObservationIn(Schema):
    """The values of one device at one time."""

    model_config = ConfigDict(extra="forbid")

    mn: str = Field(max_length=40, description="Device number, as registered")
    st: str = Field(max_length=5, description="System type, as registered", examples=["31"])
    resolution: Literal["realtime", "minute", "hour", "day"]
    time: str = Field(
        max_length=40,
        description="Start of the period, or the moment; with zone",
        examples=["2026-11-01T08:00:00+08:00"],
    )
    values: dict[str, Any] = Field(
        min_length=1,
        max_length=400,
        description="Factor → number, or {value, flag}, or fields of HJ 212 {Avg, Min, Max, Cou,"
        " ZsAvg, Flag …}. A number is kept with the digits that were sent",
        examples=[{"a21026": 12.50, "a21002": {"value": "35.2", "flag": "N"}}],
    )


class ObservationsIn(Schema):
    model_config = ConfigDict(extra="forbid")

    observations: list[ObservationIn] = Field(min_length=1, max_length=2000)


class Taken(Schema):
    taken: int = Field(description="Entries that are durable in the journal")
    values: int


class Filed(Schema):
    id: int
    created: bool = Field(description="false: its reference was known, and it was extended")


class BatchOut(Schema):
    findings: list[Filed]


class FindingOut(Schema):
    id: int
    kind: str
    state: str
    severity: int
    title: str
    source: str
    region: str
    enterprise: str | None = Field(description="Unified social credit code")
    point: str | None
    longitude: float = Field(description="WGS-84")
    latitude: float
    address: str
    began: datetime
    ended: datetime
    facts: dict[str, Any]
    innocent: list[str]
    confidence: str
    next_check: str
    merged_into: int | None
    leaf: int | None = Field(description="Number in the evidence log; null: waits for one")


class CaseOut(Schema):
    id: int
    flow: str
    state: str
    number: str | None
    title: str
    region: str | None
    enterprise: str | None
    department: str | None = Field(description="Code of the department")
    opened: datetime
    issued: datetime | None
    due: datetime | None
    closed: datetime | None


class ExceedanceOut(Schema):
    id: int
    point: str
    factor: str
    period: str
    time: datetime
    value: float
    unit: str
    limit: float
    multiple: float | None
    source: str
    stands: bool
    finding: int | None


class PointOut(Schema):
    key: str
    mn: str
    st: str
    name: str
    kind: str
    region: str
    enterprise: str | None
    outlet: str | None
    longitude: float
    latitude: float
    factors: list[str]
    enabled: bool


class ObservationOut(Schema):
    factor: str
    time: datetime
    value: float | None
    reduced: float | None = Field(description="Converted by the device (Zs)")
    flag: str
    received: datetime


class Observations(Schema):
    point: str
    resolution: str
    unit: dict[str, str] = Field(description="Unit of each factor")
    items: list[ObservationOut]
    next: str | None = Field(description="Address of what follows; null at the end")


class Findings(Schema):
    items: list[FindingOut]
    next: str | None


class Cases(Schema):
    items: list[CaseOut]
    next: str | None


class Exceedances(Schema):
    items: list[ExceedanceOut]
    next: str | None


class Points(Schema):
    items: list[PointOut]
    next: str | None


class ProblemOut(Schema):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    errors: list[dict[str, str]] = Field(default_factory=list)
