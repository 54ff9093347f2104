"""A few cases of the demo city, each act done by the account that may do it.

Acts carry a token, so that loading again after an interruption repeats none of them. The photo
that a verification must have is a drawn placeholder and says so by its name.
"""

from __future__ import annotations

import struct
import zlib
from datetime import datetime, timedelta
from typing import Any

Hours = float
# What becomes of a case: hours before the load at which it was opened, then acts with the hours
# before the load. The finding is the oldest new one that had ended by then.
PLANS: tuple[tuple[str, Hours, tuple[tuple[str, Hours], ...]], ...] = (
    ("closed", 480, (("issue", 478), ("sign", 475), ("answer", 430), ("verify", 405), ("accept", 398), ("close", 390))),
    ("closed after a rejection", 340, (("issue", 338), ("sign", 336), ("answer", 300), ("reject", 280), ("answer", 230), ("verify", 212), ("accept", 208), ("close", 200))),
    ("overdue", 260, (("issue", 258), ("sign", 254))),
    ("to be closed", 200, (("issue", 199), ("sign", 196), ("answer", 100), ("verify", 40), ("accept", 6))),
    ("to be accepted", 170, (("issue", 168), ("sign", 166), ("answer", 60), ("verify", 8))),
    ("to be verified", 150, (("issue", 148), ("sign", 146), ("answer", 12))),
    ("being rectified", 60, (("issue", 59), ("sign", 55), ("comment", 30))),
    ("to be signed for", 5, (("issue", 3),)),
    ("draft", 2, ()),
)  # fmt: skip

# The same for cases in handling, by the act and who does it ("lead": the district that has it).
HANDLING: tuple[tuple[Hours, tuple[tuple[str, str, Hours], ...]], ...] = (
    (1000, (("dispatch", "city", 999), ("sign", "lead", 996), ("found", "lead", 960), ("rectified", "lead", 900), ("verify", "grid", 870), ("close", "city", 860))),
    (300, (("dispatch", "city", 299), ("sign", "lead", 297), ("pause", "city", 250), ("resume", "city", 130), ("found", "lead", 100), ("rectified", "lead", 20))),
    (140, (("dispatch", "city", 139), ("sign", "lead", 120), ("join", "lead", 118))),
    (40, (("dispatch", "city", 39), ("transfer", "lead", 30))),
    (3, ()),
)  # fmt: skip

_WORDS: dict[str, dict[str, Any]] = {
    "sign": {"text": "已签收，责成企业查明原因。"},
    "answer": {
        "text": "经排查，治理设施运行参数偏离，已调整并更换部件，复测数据恢复正常（示例）。"
    },
    "verify": {"text": "现场核查：治理设施运行正常，数据已达标（示例）。"},
    "reject": {"text": "现场仍有间歇性波动，备用设备未投用，请继续整改（示例）。"},
    "accept": {"text": "材料齐全，同意验收。"},
    "close": {"text": "整改到位，予以结案，纳入回头看（示例）。"},
    "comment": {"text": "请于整改期间每日报送在线数据说明。"},
    "found": {
        "text": "经现场核实，治理设施投药不足（示例）。",
        "verdict": "confirmed",
        "cause_code": "operation",
    },
    "rectified": {"text": "已更换计量泵并复测（示例）。"},
    "pause": {
        "ground": "analysis",
        "text": "委托第三方检测（示例）。",
        "basis": "《行政处罚法》第五十八条（示例）",
    },
    "resume": {"text": "检测报告已出具（示例）。"},
    "join": {"text": "需要水务部门共同排查管网（示例）。"},
    "transfer": {"text": "涉及市政管网，由水务部门牵头更合适（示例）。"},
}


def placeholder() -> bytes:
    """A PNG of 480 x 360 with a striped ground: stands where a photo would be."""
    width, height = 480, 360
    rows = bytearray()
    for y in range(height):
        rows.append(0)
        for x in range(width):
            rows += b"\xd8\xdd\xe3" if (x + y) // 24 % 2 else b"\xc3\xcb\xd4"

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(bytes(rows), 9))
        + chunk(b"IEND", b"")
    )


def build(anchor: datetime) -> int:
    """Open the cases and act on them; returns how many there are now."""
    from jingwei.bureau.cases import services
    from jingwei.bureau.cases.errors import Refused
    from jingwei.bureau.findings.models import Finding, Kind

    dispatcher = _user("dispatcher")
    used: set[int] = set()
    made = 0
    for number, (_, hours, acts) in enumerate(PLANS):
        opened = anchor - timedelta(hours=hours)
        token = f"demo-case-{number}"
        finding = (
            Finding.objects.filter(
                kind=Kind.EXCEEDANCE,  # with rows: `demo.penalties` needs facts
                state=Finding.State.NEW,
                ended__lte=opened,
                enterprise__isnull=False,
            )
            .exclude(enterprise__in=used)
            .order_by("began", "pk")
            .first()
        )
        name = finding.enterprise.name if finding and finding.enterprise else ""
        try:
            case = services.open_case(
                dispatcher,
                [finding] if finding else [],
                {
                    "title": f"{name}超标督办"[:200],
                    "text": "请查明超标原因，采取措施确保稳定达标，并报送整改材料（示例）。",
                    "basis": "《排污许可管理条例》；排污许可证载明的排放限值（示例）。",
                },
                token=token,
                now=opened,
            )
        except Refused:  # no finding is left, and the case was not opened before
            continue
        used.add(case.enterprise_id)
        made += 1
        for step, (act, ago) in enumerate(acts):
            case.refresh_from_db()
            _act(case, act, f"{token}-{step}", anchor - timedelta(hours=ago))
    return made + _handle(anchor, used)


def _handle(anchor: datetime, used: set[int]) -> int:
    from jingwei.bureau.cases import drafts, services
    from jingwei.bureau.cases.errors import Refused
    from jingwei.bureau.findings.models import Finding

    made = 0
    for number, (hours, acts) in enumerate(HANDLING):
        opened = anchor - timedelta(hours=hours)
        token = f"demo-handling-{number}"
        finding = (
            Finding.objects.filter(state=Finding.State.NEW)
            .exclude(enterprise__in=used)
            .order_by("-began", "pk")
            .first()
        )
        chosen = [finding] if finding else []
        try:
            case = services.open_case(
                _user("dispatcher"), chosen, drafts.handling(chosen), flow="handling",
                token=token, now=opened,
            )  # fmt: skip
        except Refused:
            continue
        if case.enterprise_id:
            used.add(case.enterprise_id)
        made += 1
        for step, (act, who, ago) in enumerate(acts):
            handle(case, act, who, f"{token}-{step}", anchor - timedelta(hours=ago))
    return made


def handle(case: Any, act: str, who: str, token: str, now: datetime, **words: Any) -> None:
    """Do an act in handling; `words` besides those that it always has."""
    from jingwei.bureau.accounts.models import Department
    from jingwei.bureau.cases import selectors, services

    case.refresh_from_db()
    data = _WORDS.get(act, {}) | words
    files: dict[str, Any] = {}
    if act == "dispatch":
        data |= {"department": selectors.district_of(case.region_id).pk, "days": 10}
    if act == "transfer":
        data["department"] = Department.objects.get(code="dept-water").pk
    if act == "join":
        data["departments"] = [Department.objects.get(code="dept-water").pk]
    if act == "verify":
        files["photos"] = [_photo()]
    actor = {"city": _city, "grid": _grid, "lead": _home}[who](case)
    services.act(actor, case.pk, act, case.version, data, files, token=token, now=now)


def _photo() -> Any:
    from django.core.files.uploadedfile import SimpleUploadedFile

    return SimpleUploadedFile("placeholder.png", placeholder(), "image/png")


def _act(case: Any, act: str, token: str, now: datetime) -> None:
    from jingwei.bureau.cases import services

    data = dict(_WORDS.get(act, {}))
    files: dict[str, Any] = {}
    if act == "issue":
        # The overdue one had two working days; the others ten.
        data["days"] = 2 if token.startswith("demo-case-2-") else 10
    if act in ("verify", "reject"):
        files["photos"] = [_photo()]
        data["position"] = f"{case.enterprise.longitude},{case.enterprise.latitude},25"
    actor = {
        "issue": lambda: _user("dispatcher"),
        "close": lambda: _user("dispatcher"),
        "answer": lambda: _enterprise(case),
        "verify": lambda: _grid(case),
        "reject": lambda: _grid(case),
    }.get(act, lambda: _district(case))()
    services.act(actor, case.pk, act, case.version, data, files, token=token, now=now)


def _user(username: str) -> Any:
    from jingwei.bureau.accounts.models import User

    return User.objects.get(username=username)


def _city(case: Any) -> Any:
    return _user("dispatcher")


def _enterprise(case: Any) -> Any:
    from jingwei.bureau.accounts.models import User

    return User.objects.get(role="enterprise", enterprise_code=case.enterprise.uscc)


def _district(case: Any) -> Any:
    from jingwei.bureau.accounts.models import User

    return User.objects.filter(role="district", department=case.department).order_by("pk")[0]


def _home(case: Any) -> Any:
    """Somebody of the district that the case began in, wherever it is by now: an act that is
    repeated after an interruption must name the same person to be known by its token."""
    from jingwei.bureau.accounts.models import User
    from jingwei.bureau.cases import selectors

    centre = selectors.district_of(case.region_id)
    return User.objects.filter(role="district", department=centre).order_by("pk")[0]


def _grid(case: Any) -> Any:
    from jingwei.bureau.accounts.models import User

    return User.objects.filter(
        role="grid", department__jurisdictions__area=case.region_id
    ).order_by("pk")[0]
