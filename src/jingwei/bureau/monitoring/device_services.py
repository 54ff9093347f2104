"""Everything that writes about devices: settings, commands, adoption. One function one transaction.

A command stands first in the database (with its evidence entry) and then in the book of devices,
from which a gateway takes it; `settle` brings the outcome back, and writes again into the book
what a crash kept out of it.
"""

from __future__ import annotations

import contextlib
import secrets
import string
import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from jingwei.bureau.access import may
from jingwei.bureau.evidencelog import services as evidence
from jingwei.bureau.monitoring import device_selectors as selectors
from jingwei.bureau.monitoring.device_models import DeviceCommand
from jingwei.bureau.registry import services as registry
from jingwei.bureau.registry.models import Device, Point
from jingwei.hj212 import Value, Values, decode, encode
from jingwei.hj212 import qn as stamp
from jingwei.telemetry import journal, keys
from jingwei.telemetry.book import BookError, Command
from jingwei.telemetry.dialogue import ACTS, NOW
from jingwei.telemetry.intake import Intake
from jingwei.telemetry.journal import Journal, Telegram
from jingwei.telemetry.register import Register

KEY_PAUSE = timedelta(days=1)  # between two keys that a device asked for
KEY_WISH = timedelta(hours=1)  # how long such a wish lasts
ADMINISTRATORS = ("1072", "1014")  # commands that change who may speak
LIFE = timedelta(hours=24)
LIFE_OF_ACTS = timedelta(minutes=30)  # nobody expects a calibration a day after he asked for it
_FINAL = ("done", "refused", "failed", "expired", "cancelled")
_LETTERS = string.ascii_letters + string.digits
KEPT = 20_000  # telegrams of a stranger that are taken in when it is adopted


def box() -> keys.KeyBox:
    return keys.KeyBox(settings.ENV.register.with_name(keys.NAME))


# Commands ---------------------------------------------------------------------------------------


@transaction.atomic
def ask(
    user: Any,
    point: Point,
    cn: str,
    params: Mapping[str, Values],
    reason: str,
    *,
    items: tuple[tuple[str, Mapping[str, Value]], ...] = (),
    token: uuid.UUID | None = None,
    now: datetime | None = None,
) -> DeviceCommand:
    """Ask a device for something; `user` None where the system asks by itself.

    The same token asks once. Raises `PermissionDenied`, and `ValidationError` where the reason is
    missing, the point is disabled, or the command does not fit the point's version.
    """
    now = now or timezone.now()
    if user is not None:
        action = "device.settings" if cn in ADMINISTRATORS else "device.command"
        if not may(user, action):
            raise PermissionDenied
        if not reason.strip():
            raise ValidationError({"reason": _("Say why: the reason is kept with the command.")})
    if token is not None:
        there = DeviceCommand.objects.filter(token=token).first()
        if there is not None:
            return there
    if not point.enabled:
        raise ValidationError(_("This point is disabled; enable it first."))
    shown = {name: _text(value) for name, value in params.items()}
    wire: dict[str, Any] = {"secret": cn in ADMINISTRATORS, "key": ""}
    values = dict(params)
    if cn == "1014":
        values, wire["key"] = _new_key(point.mn, now)
        shown = {}
    elif cn == "1072":
        shown = {}
    try:
        if cn == "1012":
            cp = encode(cn, point.version, "down", {**values, "SystemTime": now}).replace(
                _text(now), NOW
            )
        else:
            cp = encode(cn, point.version, "down", values, items)
    except ValueError as error:
        raise ValidationError(str(error)) from None
    for code, fields in items:
        shown |= {f"{code}-{name}": _text(value) for name, value in fields.items()}
    wire["cp"] = box().seal(point.mn, cp.encode()) if wire["secret"] else cp
    command = DeviceCommand(
        token=token or uuid.uuid4(),
        point=point,
        cn=cn,
        params={"shown": shown, "wire": wire},
        reason=reason.strip()[:400],
        actor=user,
        created=now,
        expires=now + (LIFE_OF_ACTS if cn in ACTS else LIFE),
    )
    try:
        with transaction.atomic():
            command.save()
    except IntegrityError:
        return DeviceCommand.objects.get(token=token)
    evidence.record(
        "device.command",
        f"device:{point.mn}",
        {
            "command": str(command.token),
            "act": "asked",
            "point": point.key,
            "cn": cn,
            "params": shown,
            "automatic": user is None,
        },
        actor=str(user.pk) if user is not None else "",
    )
    transaction.on_commit(lambda: _tell(command))
    return command


def _text(value: Values) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(_text, value))
    if isinstance(value, datetime):
        return stamp(value)[:14]
    return str(value)


def _new_key(mn: str, now: datetime) -> tuple[dict[str, Values], str]:
    """The parameters of 1014, and the sealed key to send them under. Both keys are taken from now
    on, because the device changes to the new one as soon as it has it."""
    device, _made = Device.objects.select_for_update().get_or_create(mn=mn)
    new = "".join(secrets.choice(_LETTERS) for _n in range(16))
    old = device.keys[0]["sealed"] if device.keys else ""
    device.keys = [{"sealed": box().seal(mn, new.encode()), "since": now.isoformat()}, *device.keys]
    device.save()
    transaction.on_commit(registry.publish_register)
    return {"SKCreateTime": now, "NewSK": new}, old


def grant_keys(now: datetime | None = None) -> int:
    """Send a new key to devices that asked for one (1014, HJ 212-2025 §6.4.3); how many.

    Only under the key that the device has: a first key is entered by an administrator, and none
    goes out in the clear. A device gets one in a day at most.
    """
    now = now or timezone.now()
    store = selectors.the_book()
    done = 0
    try:
        for mn, cn, st, at in store.wishes():
            point = Point.objects.filter(mn=mn, st=st, enabled=True, version="2025").first()
            recent = DeviceCommand.objects.filter(
                point__mn=mn, cn=cn, created__gt=now - KEY_PAUSE
            ).exists()
            has_key = Device.objects.filter(mn=mn).exclude(keys=[]).exists()
            if point is not None and has_key and not recent and now - at < KEY_WISH:
                ask(None, point, cn, {}, "", token=uuid.uuid5(uuid.NAMESPACE_URL, f"{mn} {at}"))
                done += 1
            store.settled(mn, cn, at)
    finally:
        store.close()
    return done


def _tell(command: DeviceCommand) -> None:
    """Write a command into the book of devices; twice is once."""
    wire = command.params["wire"]
    store = selectors.the_book()
    with contextlib.closing(store), contextlib.suppress(BookError):  # `settle` tries again
        store.ask(
            Command(
                str(command.token), command.point.mn, command.point.st, command.cn, wire["cp"],
                wire["secret"], wire["key"], command.actor_id is None, command.created,
                command.expires,
            )
        )  # fmt: skip


def cancel(user: Any, command: DeviceCommand) -> bool:
    """Take a command back that no gateway has taken; False where it is too late."""
    if not may(user, "device.command"):
        raise PermissionDenied
    store = selectors.the_book()
    try:
        done = store.cancel(str(command.token), timezone.now())
    finally:
        store.close()
    settle()
    return done


def settle(now: datetime | None = None) -> int:
    """Bring what the gateways wrote about open commands into the database; how many changed."""
    now = now or timezone.now()
    still = {str(c.token): c for c in DeviceCommand.objects.filter(finished=None).select_related("point")}  # fmt: skip
    if not still:
        return 0
    store = selectors.the_book()
    try:
        found = store.commands(still)
    finally:
        store.close()
    changed = 0
    for token, command in still.items():
        there = found.get(token)
        if there is None:
            if command.expires > now:
                _tell(command)
            else:
                _finish(command, "expired", {}, now)
        elif there.state in _FINAL:
            _finish(command, there.state, dict(there.result), there.changed or now)
            changed += 1
        elif (there.state, there.result) != (command.state, command.result):
            DeviceCommand.objects.filter(pk=command.pk, finished=None).update(
                state=there.state, result=there.result
            )
            changed += 1
    return changed


@transaction.atomic
def _finish(command: DeviceCommand, state: str, result: dict[str, Any], when: datetime) -> None:
    row = DeviceCommand.objects.select_for_update().get(pk=command.pk)
    if row.finished is not None:
        return
    row.state, row.result, row.finished = state, result, when
    row.save()
    evidence.record(
        "device.command",
        f"device:{row.point.mn}",
        {
            "command": str(row.token),
            "act": "ended",
            "cn": row.cn,
            "state": state,
            **{k: result[k] for k in ("qn", "QnRtn", "ExeRtn", "why", "telegrams") if k in result},
        },
    )
    if row.cn == "1072" and state == "done":
        _take_password(row)
    if row.cn == "1014" and state in ("refused", "expired", "cancelled"):
        _drop_key(row)


def _take_password(command: DeviceCommand) -> None:
    mn = command.point.mn
    cp = box().open(mn, command.params["wire"]["cp"]).decode()
    password = cp.partition("=")[2]
    Point.objects.filter(mn=mn).update(password=password)
    transaction.on_commit(registry.publish_register)


def _drop_key(command: DeviceCommand) -> None:
    """The device never got the new key. (Where it is not known, both are kept.)"""
    device = Device.objects.select_for_update().get(mn=command.point.mn)
    made = command.created.isoformat()
    device.keys = [key for key in device.keys if key["since"] != made]
    device.save()
    transaction.on_commit(registry.publish_register)


# Settings ---------------------------------------------------------------------------------------


@transaction.atomic
def change(user: Any, mn: str, values: Mapping[str, Any], now: datetime | None = None) -> None:
    """Change what the register says of a logger.

    `values`: version, password (empty: as it is), key (empty: as it is), networks, dialects,
    form, pull, pull_from, pull_until. Raises `PermissionDenied`, `ValidationError`.
    """
    if not may(user, "device.settings"):
        raise PermissionDenied
    now = now or timezone.now()
    some = list(Point.objects.select_for_update().filter(mn=mn))
    if not some:
        raise ValidationError(_("No point has this device number."))
    device, _made = Device.objects.select_for_update().get_or_create(mn=mn)
    facts: dict[str, Any] = {}
    for name in ("networks", "dialects", "form", "pull", "pull_from", "pull_until"):
        if getattr(device, name) != values[name]:
            facts[name] = values[name]
            setattr(device, name, values[name])
    if values.get("key"):
        sealed = box().seal(mn, keys.read_key(values["key"]))
        device.keys = [{"sealed": sealed, "since": now.isoformat()}, *device.keys]
        facts["key"] = "set"
    device.full_clean()
    device.save()
    for point in some:
        if values["version"] != point.version:
            facts["version"] = values["version"]
        if values.get("password"):
            facts["password"] = "changed"  # noqa: S105
    if "version" in facts or "password" in facts:
        Point.objects.filter(mn=mn).update(
            version=values["version"], password=values.get("password") or some[0].password
        )
    if facts:
        evidence.record("device", f"device:{mn}", facts, actor=str(user.pk))
    transaction.on_commit(registry.publish_register)


# Quarantine -------------------------------------------------------------------------------------


def adopt(user: Any, mn: str, values: Mapping[str, Any]) -> tuple[Point, int]:
    """Make a point of a stranger and take in what it has sent; the point and how many telegrams.

    `values` as `registry.services.create_point` wants them; an empty password stands for the one
    that the device sends. Raises `PermissionDenied`, `ValidationError`.
    """
    if not may(user, "device.adopt"):
        raise PermissionDenied
    some = _kept(mn)
    given = dict(values)
    if not given.get("password"):
        given["password"] = _sent_password(some)
    with transaction.atomic():
        point = registry.create_point(mn=mn, **given)
        evidence.record(
            "device.adopted",
            f"device:{mn}",
            {"point": point.key, "version": point.version, "factors": point.factors},
            actor=str(user.pk),
        )
    registry.publish_register()
    taken = take_in(mn)
    store = selectors.the_book()
    try:
        store.forget(mn)
    finally:
        store.close()
    return point, taken


def _kept(mn: str) -> list[Telegram]:
    return [
        t
        for t in journal.newest(settings.ENV.refused, mn=mn, limit=KEPT)
        if t.reason == "unknown_mn"
    ]


def _sent_password(telegrams: list[Telegram]) -> str:
    for telegram in reversed(telegrams):
        password = decode(telegram.raw).pw
        if password:
            return password
    raise ValidationError(
        {"password": _("None of its telegrams that are kept has a password: enter it.")}
    )


def take_in(mn: str) -> int:
    """Put the kept telegrams of a device that was unknown into the journal, as they came and when
    they came; how many. The ingest stores each once, however often this is done."""
    intake = Intake(Register(settings.ENV.register))
    good = [
        Telegram(t.received, t.peer, t.raw)
        for t in _kept(mn)
        if intake.judge(t.raw, t.peer).accepted
    ]
    if good:
        writer = Journal(settings.ENV.journal)
        try:
            for at in range(0, len(good), 1000):
                writer.append(good[at : at + 1000])
        finally:
            writer.close()
    return len(good)
