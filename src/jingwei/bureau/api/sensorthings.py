"""OGC SensorThings API 1.1 (18-088), read: points, their data and factors as Things, Datastreams …

    Thing, Location, Sensor, FeatureOfInterest   a point, id MN-ST
    Datastream                                   one factor of a point in one resolution
    ObservedProperty                             a factor, id its code
    Observation                                  its id ends with the time in microseconds

Places are those of today: there are no HistoricalLocations. Everything is read as the user, by
`points`. Entities are made as they are asked for; nothing is stored.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

from django.utils import timezone

from jingwei.bureau.api.odata import (
    Expression,
    Options,
    Path,
    QueryError,
    UnsupportedError,
    between,
    holds,
    ordered,
    paths,
)
from jingwei.bureau.api.sensorthings_model import (
    BODIES,
    CONFORMANCE,
    EPOCH,
    LINKS,
    MICROSECOND,
    PROPERTIES,
    SETS,
    Entity,
)
from jingwei.bureau.monitoring import selectors as monitoring
from jingwei.bureau.registry.models import Point
from jingwei.telemetry.lake import MEASURED, catalog

# How much of a resolution is read at once.
WINDOW: Final = {
    "realtime": timedelta(days=1),
    "minute": timedelta(days=7),
    "hour": timedelta(days=93),
    "day": timedelta(days=1100),
}
COUNTED: Final = timedelta(days=400)  # of observations that are counted in one request
DEEPEST: Final = 100_000  # $skip
EXPANDED: Final = 20_000  # entities that $expand may bring in one request
READ: Final = 1_500  # series that it may read: the newest value of a page of datastreams, and more

_SEGMENT = re.compile(r"([A-Za-z]+)(?:\((?:'((?:[^']|'')*)'|([^'()]+))\))?")


class MissingError(LookupError):
    """There is no such entity, or not for this user."""


class Service:
    """Answers for one user. `base`: address of the root, without a slash at its end."""

    def __init__(self, user: Any, base: str) -> None:
        self.user, self.base = user, base
        self._points: list[Point] | None = None
        self._streams: list[Entity] | None = None
        self._begins: dict[str, datetime] = {}
        self._bodies: dict[str, dict[str, Any]] = {}
        self._inside = self._expanded = self._read = 0  # levels of $expand; what it has cost

    # Answers

    def root(self) -> dict[str, Any]:
        return {
            "value": [{"name": name, "url": f"{self.base}/{name}"} for name in SETS],
            "serverSettings": {"conformance": CONFORMANCE},
        }

    def get(self, path: str, options: Options, address: Callable[[dict[str, str]], str]) -> Any:
        """What stands at a path: an object, or a text (`…/$value`). `address` gives the request's
        own address with some options changed. Raises `MissingError`, `QueryError`."""
        rest = path.strip("/").split("/")
        entity: Entity | None = None
        while rest:
            name, key = self._segment(rest.pop(0))
            if entity is None:
                if name not in SETS:
                    raise MissingError
                target, many = name, True
            elif name in LINKS[entity.kind]:
                target, many = LINKS[entity.kind][name]
            else:
                return self._property(entity, name, rest)
            if many and key is None:
                if rest == ["$ref"]:
                    found = self.collection(target, entity, options, address)
                    return self._references(found)
                if rest:
                    raise MissingError
                return self.collection(target, entity, options, address)
            if key is not None and not many:
                raise MissingError
            following = self._one(target, key) if key is not None else self._followed(entity, name)
            if entity is not None and key is not None and not self._belongs(entity, following):
                raise MissingError
            entity = following
            if rest == ["$ref"]:
                return {"@iot.selfLink": self._link(entity)}
        assert entity is not None
        self._check(entity.kind, options)
        return self.shown(entity, options)

    @staticmethod
    def _segment(text: str) -> tuple[str, str | None]:
        match = _SEGMENT.fullmatch(text)
        if match is None:
            raise MissingError
        name, quoted, bare = match.groups()
        return name, quoted.replace("''", "'") if quoted is not None else bare

    def _property(self, entity: Entity, name: str, rest: list[str]) -> Any:
        body = self.body(entity)
        if name not in body or name.startswith("@"):
            raise MissingError
        if rest == ["$value"]:
            return body[name] if isinstance(body[name], str) else str(body[name])
        if rest:
            raise MissingError
        return {name: body[name]}

    @staticmethod
    def _references(found: dict[str, Any]) -> dict[str, Any]:
        found["value"] = [{"@iot.selfLink": one["@iot.selfLink"]} for one in found["value"]]
        return found

    def collection(
        self,
        kind: str,
        parent: Entity | None,
        options: Options,
        address: Callable[[dict[str, str]], str],
    ) -> dict[str, Any]:
        """A page of a collection."""
        if options.skip > DEEPEST:
            raise QueryError(f"$skip={options.skip}: at most {DEEPEST}; filter instead")
        self._check(kind, options)
        if kind == "Observations":
            found, count, token = self._observations(parent, options)
            more = {"$skiptoken": token, "$skip": ""} if token else None
        else:
            rows = list(self._rows(kind, parent))
            if options.filter is not None:
                rows = [r for r in rows if holds(options.filter, self._getter(r))]
            rows = ordered(rows, options.orderby, self.value)
            count = len(rows)
            end = options.skip + options.top
            found = rows[options.skip : end]
            more = {"$skip": str(end)} if end < count and options.top else None
        answer: dict[str, Any] = {"@iot.count": count} if options.count else {}
        if more:
            answer["@iot.nextLink"] = address(more)
        if options.array:
            if kind != "Observations":
                raise UnsupportedError("$resultFormat=dataArray is offered of Observations alone")
            answer["value"] = self._arrays(found, options)
        else:
            answer["value"] = [self.shown(one, options) for one in found]
        return answer

    def _arrays(self, found: list[Entity], options: Options) -> list[dict[str, Any]]:
        """Observations as tables, one a datastream (18-088 section 12.1)."""
        tables: dict[str, dict[str, Any]] = {}
        for one in found:
            body = {"@iot.id": one.id, **self.body(one)}
            names = [n for n in body if options.select is None or n in options.select]
            stream = self._followed(one, "Datastream")
            table = tables.setdefault(
                stream.id,
                {
                    "Datastream@iot.navigationLink": self._link(stream),
                    "components": ["id" if n == "@iot.id" else n for n in names],
                    "dataArray@iot.count": 0,
                    "dataArray": [],
                },
            )
            table["dataArray"].append([body[name] for name in names])
            table["dataArray@iot.count"] += 1
        return list(tables.values())

    def _check(self, kind: str, options: Options) -> None:
        """Properties that the options name must be there."""
        wanted = paths(options.filter) | {path for path, _ in options.orderby}
        for path in wanted | {(name,) for name in options.select or ()}:
            at = kind
            for number, part in enumerate(path, 1):
                if part in PROPERTIES[at]:
                    break  # what follows stands inside: properties/mn
                if part not in LINKS[at]:
                    raise QueryError(f"{at} have no property {part!r}")
                at, many = LINKS[at][part]
                if many and number < len(path):
                    raise UnsupportedError(f"{'/'.join(path)}: only what leads to one can be asked")
        for name in options.expand:
            if name not in LINKS[kind]:
                raise QueryError(f"$expand: {kind} lead to no {name!r}")

    # Entities

    def shown(self, entity: Entity, options: Options) -> dict[str, Any]:
        """An entity with its links, as `$select` and `$expand` want it."""
        if self._inside:
            self._expanded += 1
            self._afford(self._expanded, EXPANDED, "entities")
        chosen = options.select
        link = self._link(entity)
        body = {"@iot.selfLink": link, "@iot.id": entity.id} if chosen is None else {}
        for name, value in {"@iot.id": entity.id, **self.body(entity)}.items():
            if chosen is None or name in chosen:
                body[name] = value
        for name, (kind, many) in LINKS[entity.kind].items():
            inner = options.expand.get(name)
            if inner is None:
                if chosen is None or name in chosen:
                    body[f"{name}@iot.navigationLink"] = f"{link}/{name}"
                continue
            self._inside += 1
            if many:
                found = self.collection(kind, entity, inner, self._nested(f"{link}/{name}", inner))
                for word in ("count", "nextLink"):
                    if f"@iot.{word}" in found:
                        body[f"{name}@iot.{word}"] = found[f"@iot.{word}"]
                body[name] = found["value"]
            else:
                self._check(kind, inner)
                body[name] = self.shown(self._followed(entity, name), inner)
            self._inside -= 1
        return body

    @staticmethod
    def _afford(count: int, most: int, what: str) -> None:
        if count > most:
            raise QueryError(
                f"$expand: more than {most} {what} in one request; ask for less with $top, or"
                " for the parts one by one"
            )

    @staticmethod
    def _nested(link: str, options: Options) -> Callable[[dict[str, str]], str]:
        """The address of an expanded collection, with some options changed."""

        def address(changes: dict[str, str]) -> str:
            query = {k: v for k, v in {**options.given, **changes}.items() if v}
            return link + "?" + "&".join(f"{k}={quote(v, safe='')}" for k, v in query.items())

        return address

    def _link(self, entity: Entity) -> str:
        return f"{self.base}/{entity.kind}('{quote(entity.id.replace(chr(39), chr(39) * 2))}')"

    def body(self, entity: Entity) -> dict[str, Any]:
        """The properties of an entity, without links."""
        key = f"{entity.kind} {entity.id}"
        if key not in self._bodies:
            self._bodies[key] = BODIES[entity.kind](entity)
        return self._bodies[key]

    def value(self, entity: Entity, path: Path) -> Any:
        """The property at a path, for filters and orders."""
        for at, part in enumerate(path):
            if part in LINKS[entity.kind] and at < len(path) - 1:
                entity = self._followed(entity, part)
                continue
            if part == "@iot.id":
                return entity.id
            if part in ("phenomenonTime", "resultTime") and entity.row is not None:
                return entity.row["time" if part == "phenomenonTime" else "received"]
            found: Any = self.body(entity).get(part)
            for inner in path[at + 1 :]:
                found = found.get(inner) if isinstance(found, dict) else None
            return found
        return None

    def _getter(self, entity: Entity) -> Callable[[Path], Any]:
        return lambda path: self.value(entity, path)

    # Rows

    def points(self) -> list[Point]:
        if self._points is None:
            self._points = list(monitoring.points(self.user).order_by("mn", "st"))
        return self._points

    def streams(self, points: Iterable[Point] | None = None) -> list[Entity]:
        """The datastreams of some points, or all: those of which the lake has an observation."""
        if points is None and self._streams is not None:
            return self._streams
        known = {(p.mn, p.st): p for p in (self.points() if points is None else points)}
        found = [
            Entity("Datastreams", known[row.mn, row.st], row.factor, row.resolution, row)
            for row in monitoring.lake().latest(points=list(known))
            if row.resolution in MEASURED
        ]
        if points is None:
            self._streams = found
        return found

    def _rows(self, kind: str, parent: Entity | None) -> Iterable[Entity]:
        if kind == "HistoricalLocations":
            return []
        if parent is not None and parent.point is not None and kind != "Datastreams":
            return [Entity(kind, parent.point)]
        if kind == "Datastreams":
            if parent is None:
                return self.streams()
            if parent.kind == "ObservedProperties":
                return [s for s in self.streams() if s.factor == parent.factor]
            assert parent.point is not None
            return self.streams([parent.point])
        if kind == "ObservedProperties":
            return [Entity(kind, factor=f) for f in sorted({s.factor for s in self.streams()})]
        return [Entity(kind, point) for point in self.points()]

    def _point(self, key: str) -> Point:
        mn, _dash, st = key.rpartition("-")
        found = (
            monitoring.points(self.user).filter(mn=mn, st=st).first()
            if mn and "\x00" not in key
            else None
        )
        if found is None:
            raise MissingError
        return found

    def _stream(self, key: str) -> Entity:
        name, _dash, resolution = key.rpartition("-")
        name, _dash, factor = name.rpartition("-")
        for stream in self.streams([self._point(name)]):
            if (stream.factor, stream.resolution) == (factor, resolution):
                return stream
        raise MissingError

    def _one(self, kind: str, key: str) -> Entity:
        """The entity with this id. Raises `MissingError`."""
        if kind == "HistoricalLocations":
            raise MissingError
        if kind == "ObservedProperties":
            if not any(s.factor == key for s in self.streams()):
                raise MissingError
            return Entity(kind, factor=key)
        if kind == "Datastreams":
            return self._stream(key)
        if kind != "Observations":
            return Entity(kind, self._point(key))
        name, _dash, stamp = key.rpartition("-")
        if not stamp.isascii() or not stamp.isdecimal() or len(stamp) > 17:
            raise MissingError
        stream = self._stream(name)
        at = EPOCH + int(stamp) * MICROSECOND
        for row in self._series(stream, at, at + MICROSECOND):
            return row
        raise MissingError

    def _followed(self, entity: Entity | None, name: str) -> Entity:
        """Where a link to one leads."""
        assert entity is not None
        kind, _many = LINKS[entity.kind][name]
        if kind == "ObservedProperties":
            return Entity(kind, factor=entity.factor)
        if kind == "Datastreams":
            return Entity(kind, entity.point, entity.factor, entity.resolution)
        return Entity(kind, entity.point)

    @staticmethod
    def _belongs(parent: Entity, child: Entity) -> bool:
        if parent.kind == "ObservedProperties":
            return parent.factor == child.factor
        if parent.kind == "Datastreams" and child.kind == "Observations":
            return child.id.rpartition("-")[0] == parent.id
        return parent.point == child.point

    # Observations

    def _series(self, stream: Entity, start: datetime, end: datetime) -> list[Entity]:
        assert stream.point is not None
        if self._inside:
            self._read += 1
            self._afford(self._read, READ, "series to be read")
        table = monitoring.lake().series(
            stream.point.mn, stream.point.st, [stream.factor], stream.resolution, start, end
        )
        return [
            Entity(
                "Observations", stream.point, stream.factor, stream.resolution, stream.latest, row
            )
            for row in table.to_pylist()
        ]

    def _observations(
        self, parent: Entity | None, options: Options
    ) -> tuple[list[Entity], int, str]:
        """A page of observations, how many there are in all, and where the next page begins.

        Of several datastreams they come in the order of their ids: stream after stream.
        """
        streams = self._meant(parent, options.filter)
        for path, _down in options.orderby:
            if path != ("@iot.id",) and (path != ("phenomenonTime",) or len(streams) > 1):
                raise UnsupportedError(
                    "$orderby: observations of one datastream come in the order of phenomenonTime,"
                    " others in that of their ids"
                )
        down = bool(options.orderby) and options.orderby[0][1]
        if len(streams) == 1 and down and self._newest(options):
            latest = streams[0].latest
            assert latest is not None
            rows = self._series(streams[0], latest.time, latest.time + MICROSECOND)
            if rows:
                return rows, 0, rows[0].id
        if down:
            streams.reverse()
        count = (
            sum(self._counted(s, options, len(streams)) for s in streams) if options.count else 0
        )
        found: list[Entity] = []
        wanted = options.skip + options.top + 1
        at, _dash, stamp = options.token.rpartition("-")
        if options.token and not (stamp.isascii() and stamp.isdecimal() and len(stamp) < 18):
            raise QueryError("$skiptoken: take @iot.nextLink as it is")
        for stream in streams:
            start, end = self._span(stream, options)
            if options.token and stream.id == at:
                moment = EPOCH + int(stamp) * MICROSECOND
                start, end = (
                    (start, min(end, moment)) if down else (max(start, moment + MICROSECOND), end)
                )
            elif options.token and (stream.id > at if down else stream.id < at):
                continue
            for begin, until in _windows(start, end, WINDOW[stream.resolution], down):
                rows = self._filtered(stream, options, begin, until)
                found += reversed(rows) if down else rows
                if len(found) >= wanted:
                    break
            if len(found) >= wanted:
                break
        page = found[options.skip : options.skip + options.top]
        return page, count, page[-1].id if page and len(found) >= wanted else ""

    @staticmethod
    def _newest(options: Options) -> bool:
        """Whether only the newest observation is asked for: the lake knows it without a search."""
        return options.top == 1 and not (
            options.filter or options.token or options.skip or options.count
        )

    def _meant(self, parent: Entity | None, filter_: Expression | None) -> list[Entity]:
        """The datastreams whose observations are asked for, by id."""
        if parent is not None and parent.kind == "Datastreams":
            return [parent if parent.latest else self._stream(parent.id)]
        for part in _conjuncts(filter_):
            if part[0] == "eq" and part[1] == ("path", ("Datastream", "@iot.id")):
                try:
                    return [self._stream(str(part[2][1]))]
                except MissingError:
                    return []
        points = [parent.point] if parent is not None and parent.point is not None else None
        return sorted(self.streams(points), key=lambda s: s.id)

    def _span(self, stream: Entity, options: Options) -> tuple[datetime, datetime]:
        """[start, end) in which a datastream's observations can lie."""
        low, high = between(options.filter, ("phenomenonTime",))
        assert stream.latest is not None
        # Clocks may run ahead: the newest time is not always the latest value's.
        end = max(stream.latest.time, timezone.now()) + timedelta(days=2)
        end = min(end, high + MICROSECOND) if high is not None else end
        return max(self._earliest(stream.resolution), low or EPOCH), end

    def _filtered(
        self, stream: Entity, options: Options, start: datetime, end: datetime
    ) -> list[Entity]:
        rows = self._series(stream, start, end)
        if options.filter is None:
            return rows
        return [row for row in rows if holds(options.filter, self._getter(row))]

    def _counted(self, stream: Entity, options: Options, streams: int) -> int:
        start, end = self._span(stream, options)
        if stream.resolution in ("realtime", "minute") and end - start > COUNTED / streams:
            raise QueryError(
                f"$count: of {stream.resolution} values of {streams} datastreams at most"
                f" {COUNTED.days // streams} days are counted; give phenomenonTime in $filter"
            )
        return sum(
            len(self._filtered(stream, options, begin, until))
            for begin, until in _windows(start, end, WINDOW[stream.resolution], False)
        )

    def _earliest(self, resolution: str) -> datetime:
        if resolution not in self._begins:
            self._begins[resolution] = self._first_day(resolution)
        return self._begins[resolution]

    @staticmethod
    def _first_day(resolution: str) -> datetime:
        with catalog(monitoring.lake().root) as db:
            (day,) = db.execute(
                "SELECT min(day) FROM file WHERE resolution = ?", (resolution,)
            ).fetchone()
        if day is None:
            return timezone.now()
        return datetime.fromisoformat(day).replace(tzinfo=UTC) - timedelta(hours=8)


def _conjuncts(tree: Expression | None) -> list[Expression]:
    if tree is None:
        return []
    if tree[0] == "and":
        return _conjuncts(tree[1]) + _conjuncts(tree[2])
    return [tree]


def _windows(
    start: datetime, end: datetime, size: timedelta, down: bool
) -> Iterable[tuple[datetime, datetime]]:
    """[start, end) in pieces, from its end where `down`."""
    while start < end:
        if down:
            yield max(start, end - size), end
            end -= size
        else:
            yield start, min(end, start + size)
            start += size
