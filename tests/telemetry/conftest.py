"""What the tests of telemetry share: telegrams as devices send them, and a small installation."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from jingwei import hj212
from jingwei.telemetry import journal, register
from jingwei.telemetry.ingest import Ingest
from jingwei.telemetry.journal import Journal, Telegram
from jingwei.telemetry.lake import Lake

MN = "010000A8900016F000169DC0"
NOON = datetime(2026, 3, 10, 4, 0, tzinfo=UTC)  # 12:00 in Beijing


def make_frame(
    time: datetime = NOON,
    values: dict[str, str] | None = None,
    *,
    mn: str = MN,
    cn: str = "2061",
    st: str = "31",
    pw: str = "123456",
    flag: int = 5,
    qn: str | None = None,
    field: str = "Avg",
) -> bytes:
    """A frame without its CR LF, as the reader hands it out."""
    items = [
        (code, {field: text, "Flag": "N"}) for code, text in (values or {"a21026": "12.5"}).items()
    ]
    return hj212.frame(
        hj212.segment(
            cn=cn,
            st=st,
            mn=mn,
            pw=pw,
            qn=qn or hj212.qn(time + timedelta(hours=1)),
            flag=flag,
            cp=hj212.data_cp(time, items),
        )
    ).rstrip()


@dataclass
class House:
    """Journal, refused, lake and register in one folder."""

    root: Path

    @property
    def journal(self) -> Path:
        return self.root / "journal"

    @property
    def refused(self) -> Path:
        return self.root / "refused"

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def lake(self) -> Lake:
        return Lake(self.root / "lake")

    def ingest(self, clock: Callable[[], datetime] | None = None) -> Ingest:
        if clock is None:
            return Ingest(self.journal, self.root / "lake")
        return Ingest(self.journal, self.root / "lake", clock=clock)

    def put(self, frames: Iterable[bytes], received: datetime | None = None) -> list[int]:
        writer = Journal(self.journal)
        try:
            return writer.append(
                [
                    Telegram(received or NOON + timedelta(hours=1), "192.0.2.1:4000", frame)
                    for frame in frames
                ]
            )
        finally:
            writer.close()

    def devices(self, *mns: str, **fields: object) -> None:
        register.write(
            self.root / "register.json",
            [register.Device(mn, "123456", **fields) for mn in mns or (MN,)],  # type: ignore[arg-type]
        )

    def raws(self) -> list[bytes]:
        return [telegram.raw for telegram in journal.read(self.journal, limit=1 << 30)]


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "house")


@pytest.fixture(scope="session")
def frame() -> Callable[..., bytes]:
    return make_frame
