"""A finished draw of the demo city, its inspections, and the plan of the year.

The pool, the grades, the parties' secrets and the lottery's numbers are made up and say so by
their names; the draw itself is made and checked like any other.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import math
import struct
import uuid
import zlib
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

NAMESPACE = uuid.UUID("6f1c1b51-6a1e-4d0f-9c8b-2f1f7b0c5a10")
PARTIES = ("市纪委监委派驻组（示例）", "市司法局（示例）", "市环境保护产业协会（示例）")
NUMBERS = [3, 8, 14, 19, 27, 31]
CREDITS = ("blue", "green", "blue", "yellow", "blue", "red")
RISKS = ("key", "general", "key", "general", "special")
DONE = 3  # inspections that are carried out


def build(anchor: datetime) -> None:
    """Pool, grades, draw, inspections and plan; nothing where a draw is there already."""
    from django.db import transaction

    from jingwei.bureau.cases.errors import Refused
    from jingwei.bureau.inspections.models import Draw

    with transaction.atomic():
        if Draw.objects.exists():
            return
        _pool()
        _grades(anchor)
        try:
            with transaction.atomic():
                draw = _draw(anchor)
        except Refused:  # a part of the city without inspectors for each unit
            return
        _inspections(anchor, draw)


def _user(username: str) -> Any:
    from jingwei.bureau.accounts.models import User

    return User.objects.get(username=username)


def _pool() -> None:
    from jingwei.bureau.accounts.models import User
    from jingwei.bureau.inspections.models import Inspector

    people = User.objects.filter(role__in=("district", "grid")).order_by("pk")
    for number, user in enumerate(people, 1):
        Inspector.objects.get_or_create(
            user=user,
            defaults={"code": f"ZF{number:03}", "certificate": f"示例证号{number:03}"},
        )


def _grades(anchor: datetime) -> None:
    from jingwei.bureau.inspections.models import Grade
    from jingwei.bureau.registry.models import Enterprise

    for number, enterprise in enumerate(Enterprise.objects.order_by("uscc")):
        Grade.objects.get_or_create(
            enterprise=enterprise,
            defaults={
                "credit": CREDITS[number % len(CREDITS)],
                "risk": RISKS[number % len(RISKS)],
                "source": "示例评级",
                "on": (anchor - timedelta(days=200)).date(),
            },
        )


def _draw(anchor: datetime) -> Any:
    """The draw, from its draft to its publication."""
    from jingwei.bureau.inspections import drawing
    from jingwei.evidence import draw as rules

    dispatcher = _user("dispatcher")
    planned = anchor - timedelta(days=24)
    reveal, lottery = planned + timedelta(hours=30), planned + timedelta(hours=36)
    draw = drawing.create(
        dispatcher,
        {
            "purpose": "四季度排污单位双随机抽查（示例）",
            "team": 2,
            "load": 6,
            "parties": PARTIES,
            "sources": [
                {
                    "kind": "parties", "name": "承诺—公布", "time": drawing.utc(reveal),
                    "missing": "without", "parties": [],
                },
                {
                    "kind": "numbers", "name": "示例彩票第 1 期，红球", "time": drawing.utc(lottery),
                    "missing": "void", "count": 6, "low": 1, "high": 33, "ordered": False,
                },
            ],
        },
        now=planned,
    )  # fmt: skip
    secrets = {name: hashlib.sha256(name.encode()).hexdigest() for name in PARTIES}
    for party in draw.parties.all():
        said = rules.commitment(draw.name, party.name, secrets[party.name])
        drawing.commit(party, said, now=planned)
    draw = drawing.freeze(dispatcher, draw, now=planned)
    for party in draw.parties.all():
        drawing.reveal(party, secrets[party.name], now=planned + timedelta(hours=5))
    drawing.enter_value(dispatcher, draw, 1, NUMBERS, now=lottery)
    draw = drawing.run(dispatcher, draw, now=lottery)
    drawing.publish(dispatcher, draw, now=anchor - timedelta(days=6))
    return draw


def _inspections(anchor: datetime, draw: Any) -> None:
    from jingwei.bureau.cases import services as kernel
    from jingwei.bureau.inspections import services
    from jingwei.bureau.inspections.models import Origin

    dispatcher = _user("dispatcher")
    begun = anchor - timedelta(days=22)
    day = timezone.localdate(anchor - timedelta(days=16 - DONE))
    opened = services.plan_from_draw(dispatcher, draw, day, now=begun)
    for case in opened[DONE:]:
        case.refresh_from_db()
        later = timezone.localdate(anchor + timedelta(days=6)).isoformat()
        said = {"day": later, "text": "企业检修停产，恢复生产后检查。"}
        kernel.act(dispatcher, case.pk, "reschedule", case.version, said, now=begun)
    for number, case in enumerate(opened[:DONE]):
        _carry_out(case, number, anchor - timedelta(days=15 - number, hours=3))
    plan = services.keep_plan(dispatcher, anchor.year, "年度现场检查计划（示例）", now=anchor)
    end = anchor.date().replace(month=12, day=31)
    for origin, title, count, drawn in (
        (Origin.RANDOM, "四季度双随机抽查", len(opened), draw),
        (Origin.TARGETED, "线索和投诉专项检查", 6, None),
        (Origin.LOOK_BACK, "整改案件回头看", 4, None),
    ):
        services.add_item(
            dispatcher, plan, origin=origin, title=title, count=count, until=end, draw=drawn
        )


def _carry_out(case: Any, number: int, at: datetime) -> None:
    """Answers, a photo, signatures, and what the district makes of it. The first has problems."""
    from django.core.files.uploadedfile import SimpleUploadedFile

    from jingwei.bureau.cases import services as kernel
    from jingwei.bureau.inspections import selectors, services
    from jingwei.demo.cases import placeholder

    case.refresh_from_db()
    team = selectors.team(case)
    if not team:
        return
    user = team[0].user
    wrong = {"G03": "标志牌缺失一处", "G07": "十月份台账缺页"} if number == 0 else {}
    answers = []
    for item in selectors.checklist(case):
        value = "yes" if item.kind == "check" else _within(item)
        value = "no" if item.code in wrong else value
        said = {"item": item.code, "value": value, "note": wrong.get(item.code, ""), "base": 0}
        answers.append({**said, "at": at.isoformat()})
    services.keep_answers(user, case.pk, answers, now=at)
    photo = placeholder()
    services.keep_photo(
        user,
        case.pk,
        {
            "uid": str(uuid.uuid5(NAMESPACE, f"{case.pk}")),
            "sha256": hashlib.sha256(photo).hexdigest(),
            "item": "G03",
            "taken": at.isoformat(),
            "position": f"{case.enterprise.longitude},{case.enterprise.latitude},20",
        },
        SimpleUploadedFile("placeholder.png", photo, "image/png"),
        now=at,
    )
    later = at + timedelta(hours=1)
    signatures = [
        {"side": "inspector", "code": i.code, "name": "", **_signature(n)}
        for n, i in enumerate(team)
    ]
    signatures.append({"side": "enterprise", "code": "", "name": "示例代表", **_signature(9)})
    end = {
        "sheet": selectors.sheet_digest(case),
        "at": later.isoformat(),
        "refusal": None,
        "signatures": signatures,
    }
    services.finish(user, case.pk, end, now=later)
    from jingwei.bureau.accounts.models import User

    district = User.objects.filter(role="district", department=case.department).order_by("pk")[0]
    acts: list[tuple[Any, str, dict[str, str]]]
    if wrong:
        acts = [
            (district, "problems", {"text": "标志牌和台账两项不符合（示例）。"}),
            (district, "hand_over", {"to": "order", "text": "建议督办整改（示例）。"}),
            (_user("dispatcher"), "publish", {}),
        ]
    else:
        acts = [
            (district, "none", {}),
            (_user("dispatcher"), "publish", {}),
            (_user("dispatcher"), "close", {}),
        ]
    for hours, (who, act, said) in enumerate(acts[: 3 - (number == 2)], 20):
        case.refresh_from_db()
        kernel.act(who, case.pk, act, case.version, said, now=later + timedelta(hours=hours))


def _within(item: Any) -> str:
    """A number that is no problem for the item."""
    least = item.least or 0
    return f"{(least + (item.most or 2 * least + 50)) / 2:.1f}"


def _signature(number: int) -> dict[str, Any]:
    """A wave as strokes and as PNG: stands where somebody would have signed."""
    points = [
        [x, 40 + round(22 * math.sin(x / (7 + number % 5)) * math.cos(x / 31)), 8 * x]
        for x in range(10, 230, 2)
    ]
    rows = [bytearray(b"\xff" * 240) for _ in range(80)]
    for (x, y, _), (_x, to, _t) in itertools.pairwise(points):
        for between in range(min(y, to), max(y, to) + 2):
            rows[between][x : x + 2] = b"\x18\x18"

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)

    picture = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 240, 80, 8, 0, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(b"".join(b"\0" + bytes(row) for row in rows), 9))
        + chunk(b"IEND", b"")
    )
    return {"strokes": [points], "picture": base64.b64encode(picture).decode()}
