"""Messages to bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from jingwei.hj212.crc import crc16
from jingwei.hj212.message import SPLIT, Message
from jingwei.hj212.values import seconds

MAX_SEGMENT: Final = 9999  # what four digits can say; the standard's own limit is 1024 (§6.3.1)

# Flag of an answer that wants none itself, by version: the version bits alone.
_ANSWER_FLAG: Final = {"2017": 4, "2025": 8}


def segment(
    *,
    cn: str,
    st: str,
    mn: str,
    pw: str,
    qn: str,
    flag: int = 4,
    cp: str = "",
    pnum: int | None = None,
    pno: int | None = None,
    rf: str | None = None,
) -> str:
    """A data segment with the header of 2017 and 2025 (HJ 212-2017 table 2), `…;CP=&&<cp>&&`.

    `pnum` and `pno` go together and set the split bit of the Flag. Raises ValueError where a
    header value would break the grammar.
    """
    for name, value in (("CN", cn), ("ST", st), ("MN", mn), ("PW", pw), ("QN", qn), ("RF", rf)):
        if value is not None and any(c in value for c in ";,=&#\r\n"):
            raise ValueError(f"{name}: {value!r} contains a separator")
    if (pnum is None) != (pno is None):
        raise ValueError("pnum and pno go together")
    head = f"QN={qn};ST={st};CN={cn};PW={pw};MN={mn};"
    if pnum is None:
        head += f"Flag={flag}"
    else:
        head += f"Flag={flag | SPLIT};PNUM={pnum};PNO={pno}"
    if rf is not None:
        head += f";RF={rf}"
    return f"{head};CP=&&{cp}&&"


def frame(data: str | bytes, *, key: bytes | None = None, form: str = "raw") -> bytes:
    """`##` + length + segment + check sum + CR LF. Text goes out as UTF-8.

    With `key` (16 bytes) the part between `CP=&&` and `&&` is encrypted as HJ 212-2025 appendix A
    says, in the given `form` ("raw", "hex", "base64", "literal"); the check sum is that of the
    clear segment. Raises ValueError for a segment over 9999 bytes.
    """
    body = data.encode() if isinstance(data, str) else data
    crc = crc16(body)
    if key is not None:
        from jingwei.hj212 import sm4

        body = sm4.encrypt_segment(body, key, form)
    if len(body) > MAX_SEGMENT:
        raise ValueError(f"a data segment of {len(body)} bytes: at most {MAX_SEGMENT} can be sent")
    return b"##%04d%b%04X\r\n" % (len(body), body, crc)


def data_cp(data_time: datetime, items: Iterable[tuple[str, Mapping[str, str]]]) -> str:
    """The CP of a data upload: `DataTime=…;w01018-Avg=1.2,w01018-Flag=N;…`.

    `data_time` is aware; the standard wants the START of the period for minutes, hours and days.
    """
    parts = [f"DataTime={seconds(data_time)}"]
    for code, fields in items:
        parts.append(",".join(f"{code}-{name}={value}" for name, value in fields.items()))
    return ";".join(parts)


def answer(cn: str, to: Message, **params: str | int) -> bytes:
    """The frame that answers `to`: "9011" (with QnRtn), "9012" (ExeRtn), "9013" or "9014".

    In 2017 and 2025 the answer carries the QN of the request in its header, and Flag 4 or 8. In
    2005 the QN stands inside CP; 9014 has no PW and MN and names the CN that it answers, and
    PNO and PNUM where the data were split (HJ/T 212-2005 appendix C).
    """
    if cn not in ("9011", "9012", "9013", "9014"):
        raise ValueError(f"CN {cn} is no answer")
    if to.version != "2005":
        if not params and to.qn is not None and to.pw is not None and to.mn is not None:
            flag = _ANSWER_FLAG.get(to.version or "2017", 4)
            return frame(f"QN={to.qn};ST=91;CN={cn};PW={to.pw};MN={to.mn};Flag={flag};CP=&&&&")
        cp = ";".join(f"{name}={value}" for name, value in params.items())
        flag = _ANSWER_FLAG.get(to.version or "2017", 4)
        head = [f"QN={to.qn}"] if to.qn is not None else []
        head += ["ST=91", f"CN={cn}"]
        head += [f"PW={to.pw}"] if to.pw is not None else []
        head += [f"MN={to.mn}"] if to.mn is not None else []
        return frame(f"{';'.join(head)};Flag={flag};CP=&&{cp}&&")
    inside = [f"QN={to.qn}"] if to.qn is not None else []
    head = ["ST=91", f"CN={cn}"]
    if cn == "9014":
        if to.cn is not None:
            inside.append(f"CN={to.cn}")
        if to.pno is not None and to.pnum is not None:
            inside += [f"PNO={to.pno}", f"PNUM={to.pnum}"]
    else:
        head += [f"PW={to.pw}"] if to.pw is not None else []
        head += [f"MN={to.mn}"] if to.mn is not None else []
        head += ["Flag=0"] if cn == "9011" else []
    inside += [f"{name}={value}" for name, value in params.items()]
    return frame(f"{';'.join(head)};CP=&&{';'.join(inside)}&&")
