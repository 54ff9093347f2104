"""Bytes to messages, versions 2005, 2017 and 2025, forgiving where nothing can be misread.

Nothing here raises on what a device may send: a telegram that must not be used comes back with
`ok` False and an `error`, and with whatever could still be read.

**Version.** Of the register, where the caller gives it. Otherwise the version bits of the Flag
are the hint: 1 is 2017, 2 is 2025 (surface-water stations sent 2 years before that standard: such
a telegram is read as 2025 and the doubt is named). Where they are 0, or there is no Flag, a factor
code of the families of 2017 (a letter and five digits) means 2017; else no Flag, or a Flag of 1
to 3, means 2005. A Flag of 0 says nothing at all: then an MN of 14 characters, or a QN that is no
time since 2017-05-01, when HJ 212-2017 replaced HJ/T 212-2005, means 2005, and the rest 2017.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from jingwei.hj212.catalogue import COMMANDS, DATA_COMMANDS
from jingwei.hj212.cp import Content, Problems, read_cp, short
from jingwei.hj212.crc import crc16, modbus
from jingwei.hj212.message import SPLIT, Crc, Item, Message
from jingwei.hj212.values import moment
from jingwei.standards import codes

VERSIONS: Final = ("2005", "2017", "2025")
DIALECTS: Final = ("lower", "unpadded", "modbus", "swapped", "modbus-swapped", "ciphertext")

_HEADER: Final = frozenset(("QN", "ST", "CN", "PW", "MN", "Flag", "PNUM", "PNO", "RF"))
_ANSWERS: Final = frozenset(("9011", "9012", "9013", "9014"))
_LIMIT: Final = 1024  # bytes of a data segment (HJ 212-2017 §6.3.1, HJ 212-2025 §8.1.2)

_HEX: Final = re.compile(rb"[0-9A-Fa-f]{1,4}")
_END: Final = re.compile(rb"&&([0-9A-Fa-f]{1,4})(?:\*\*)?\Z")
_COMMA: Final = re.compile(r",(?=\s*(?:QN|ST|CN|PW|MN|Flag|PNUM|PNO|RF)\s*=)")
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")  # all but TAB, LF, CR
_FLAG: Final = re.compile(rb"(?:^|;)[ \t]*Flag=([0-9]{1,3});")
_GLUED: Final = re.compile(rb"[0-9A-Fa-f]{4}[\r\n*]*##[0-9]{4}")
_ENCRYPTED_CN: Final = re.compile(rb"(?:^|;)CN=(?:2[0-9]{3}|1014|3020);")
# A name at the beginning of CP; hexadecimal and Base64 ciphertext is longer than any name.
_NAMED: Final = re.compile(rb"[ \t]*(?=[^=]{1,31}=)[A-Za-z0-9_]+(?:-[A-Za-z0-9_]+)*[ \t]*=(?!=|\Z)")
_NEW_CODE: Final = re.compile(r"[a-z][0-9]{5}")
_MN24: Final = re.compile(r"[0-9A-Fa-f]{24}")

# ── data segment ───────────────────────────────────────────────────────────────────────────────


def _read_header(text: str, header: dict[str, str], problems: Problems) -> str | None:
    """Fills `header`; the error that forbids using it, or None."""
    error = None if text.isprintable() else "ungrammatical: control characters in the header"
    if "," in text:
        mended = _COMMA.sub(";", text)
        if mended != text:
            problems.add("',' for ';' in the header")
            text = mended
    for part in text.removesuffix(";").split(";") if text else ():
        name, equals, value = part.partition("=")
        if name not in _HEADER:
            bare = name.strip()
            if not bare and not equals:
                problems.add("empty part", "in the header")
                continue
            if not equals:
                error = error or f"ungrammatical: {short(part)!r} in the header"
                continue
            if bare not in _HEADER:
                problems.add("header field not in the standard", bare)
                continue
            problems.add("spaces", bare)
            name = bare
        bare = value.strip()
        if bare != value:
            problems.add("spaces", name)
        if name in header:
            if header[name] != bare:
                error = error or f"ungrammatical: two different {name} in the header"
            else:
                problems.add("given twice", name)
            continue
        if name == "PNUM" and "PNO" in header:
            problems.add("PNO before PNUM")
        header[name] = bare
    return error


def _text(data: bytes, problems: Problems) -> str | None:
    try:
        return data.decode()
    except UnicodeDecodeError:
        pass
    try:
        text = data.decode("gb18030")
    except UnicodeDecodeError:
        return None
    problems.add("encoding", "GB18030 instead of UTF-8")
    return text


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


def _read_segment(segment: bytes, problems: Problems) -> Content:
    content = Content({}, [], {}, None, None)
    start = segment.find(b"CP=")
    text = _text(segment, problems)
    if text is None:
        content.error = "not text: neither UTF-8 nor GB18030"
        head = segment[: start if start >= 0 else None].decode("ascii", "replace")
        _read_header(_printable(head), content.header, Problems())
        return content
    if not text.isprintable() and _CONTROL.search(segment) is not None:
        content.error = "ungrammatical: control characters"
        text = _printable(text)
    start = text.find("CP=")
    if start < 0:
        content.error = _read_header(text, content.header, problems) or content.error
        if content.error is None:
            problems.add("no CP")
        return content
    head = text[:start]
    if head and head[-1] != ";":
        if head.rstrip().endswith(";"):
            problems.add("spaces", "CP")
            head = head.rstrip()
        else:
            problems.add("no ';' before CP")
    content.error = _read_header(head, content.header, problems) or content.error
    cp = text[start + 3 :]
    if not cp.startswith("&&"):
        content.error = content.error or "ungrammatical: no '&&' behind 'CP='"
        return content
    cp = cp[2:]
    if cp.endswith("&&"):
        cp = cp[:-2]
    else:
        problems.add("CP is not closed by '&&'")
    if "&&" in cp:
        content.error = content.error or "ungrammatical: '&&' inside CP"
        return content
    read_cp(cp, content, problems)
    return content


def _integer(header: dict[str, str], name: str, limit: int, problems: Problems) -> int | None:
    text = header.get(name)
    if text is None:
        return None
    if text.isascii() and text.isdigit() and len(text) <= 9 and int(text) <= limit:
        return int(text)
    problems.add(f"{name} is no number", repr(text))
    return None


def _guess(header: dict[str, str], flag: int | None, items: Sequence[Item]) -> str:
    """The version of a telegram from an unknown device; see the module."""
    bits = 0 if flag is None else flag >> 2
    if bits == 2:
        return "2025"
    if bits or any(_NEW_CODE.fullmatch(item.code) for item in items):
        return "2017"
    if flag != 0 or len(header.get("MN", "")) == 14:
        return "2005"
    sent = header.get("QN", "")
    recent = len(sent) >= 17 and sent[:8].isdigit() and sent[:8] >= "20170501"
    return "2017" if recent else "2005"


def _judge_header(
    content: Content, flag: int | None, version: str, given: str | None, problems: Problems
) -> None:
    """Names what deviates from the version's header, and refuses what cannot be attributed."""
    header = content.header
    cn = header.get("CN", "")
    mn = header.get("MN")
    if not cn:
        content.error = content.error or "no CN"
    elif not (len(cn) == 4 and cn.isascii() and cn.isdigit()):
        content.error = content.error or f"CN {short(cn)!r} is no four digits"
    elif cn not in COMMANDS:
        problems.add("CN in no version of the standard", cn)
    elif version not in COMMANDS[cn]:
        problems.add(f"CN not in the standard of {version}", cn)
    if not mn:
        # 9014 of 2005 carries none; a logger of 2025 has none before it is assigned (CN 1001).
        if cn not in _ANSWERS and not (cn == "1001" and version == "2025"):
            content.error = content.error or "no MN"
    elif version == "2005":
        if len(mn) != 14:
            problems.add("MN is not 14 characters", mn)
    elif len(mn) != 24 or _MN24.fullmatch(mn) is None:
        problems.add("MN is not 24 hexadecimal digits", mn)
    st = header.get("ST")
    if not st:
        problems.add("no ST")
    else:
        system = codes.system(st, version)
        if system is None or system.version not in VERSIONS:
            problems.add(f"ST not in the standard of {version}", st)
    pw = header.get("PW")
    if pw is None:
        if not (version == "2005" and cn == "9014"):
            problems.add("no PW")
    elif len(pw) != 6:
        problems.add("PW is not 6 characters", f"{len(pw)}")
    qn = header.get("QN")
    if qn is None:
        if version != "2005":
            problems.add("no QN")
    elif len(qn) != 17 or not (qn.isascii() and qn.isdigit()):
        problems.add("QN is not 17 digits", qn)
    if flag is None:
        if version != "2005" and "Flag" not in header:
            problems.add("no Flag")
    else:
        bits = flag >> 2
        if bits != VERSIONS.index(version):
            said = VERSIONS[bits] if bits < 3 else "no version"
            problems.add("version bits of the Flag", f"they say {said}, read as {version}")
        elif bits == 2 and given is None:
            stamp = (content.data_time or qn or "")[:4]
            if len(stamp) == 4 and stamp.isdigit() and stamp < "2024":
                problems.add("version bits of the Flag", f"they say 2025 in a telegram of {stamp}")


def _judge_content(content: Content, problems: Problems) -> None:
    time = content.data_time
    needed = bool(content.all()) and content.header.get("CN") in DATA_COMMANDS
    if time is None:
        if needed:
            content.error = content.error or "no DataTime"
    elif moment(time) is None:
        if needed:
            content.error = content.error or f"DataTime {short(time)!r} is no time"
        else:
            problems.add("DataTime is no time", time)
    elif len(time) != 14:
        problems.add("DataTime of 17 digits", time)


def _judge_split(
    content: Content, flag: int | None, problems: Problems
) -> tuple[int | None, int | None]:
    header = content.header
    if "PNUM" not in header and "PNO" not in header:
        if flag is not None and flag & SPLIT and flag >> 2:
            problems.add("Flag says split, but there is no PNUM and PNO")
        return None, None
    pnum = _integer(header, "PNUM", 9999, problems)
    pno = _integer(header, "PNO", 9999, problems)
    if pnum is None or pno is None:
        content.error = content.error or "PNUM and PNO are not two numbers of at most four digits"
    elif pno > max(pnum, 1) or (pnum > 1 and pno < 1):
        content.error = content.error or f"split packet {pno} of {pnum}"
    elif pnum > 1 and flag is not None and flag >> 2 and not flag & SPLIT:
        problems.add("PNUM and PNO, but the Flag does not say split")
    return pnum, pno


def _message(
    segment: bytes,
    raw: bytes,
    version: str | None,
    crc: Crc | None,
    error: str | None,
    problems: Problems,
) -> Message:
    """The message of a clear data segment; an `error` found before takes precedence."""
    content = _read_segment(segment, problems)
    header = content.header
    if not header:
        error = error or content.error or "ungrammatical: no header"
        return Message(False, error, version, crc=crc, problems=problems.texts(), raw=raw)
    flag = _integer(header, "Flag", 255, problems)
    guessed = version or _guess(header, flag, content.all())
    _judge_header(content, flag, guessed, version, problems)
    _judge_content(content, problems)
    pnum, pno = _judge_split(content, flag, problems)
    if len(segment) > _LIMIT:
        problems.add("segment over 1024 bytes", str(len(segment)))
    error = error or content.error
    return Message(
        ok=error is None,
        error=error,
        version=guessed,
        qn=header.get("QN") or content.params.get("QN"),
        st=header.get("ST"),
        cn=header.get("CN"),
        mn=header.get("MN"),
        pw=header.get("PW"),
        flag=flag,
        pnum=pnum,
        pno=pno,
        data_time=content.data_time,
        rf=header.get("RF"),
        items=content.all(),
        params=content.params,
        crc=crc,
        problems=problems.texts(),
        raw=raw,
    )


# ── encryption ─────────────────────────────────────────────────────────────────────────────────


def _region(segment: bytes) -> tuple[int, int]:
    """Where CP's content stands; (0, 0) where there is none."""
    start = segment.find(b"CP=&&") + 5
    if start < 5 or len(segment) < start + 2 or not segment.endswith(b"&&"):
        return 0, 0
    return start, len(segment) - 2


def _clear(region: bytes) -> bool:
    """Whether CP's content can be read as it is (empty, or text that begins with `name=`)."""
    if not region.strip():
        return True
    if _NAMED.match(region) is None or _CONTROL.search(region) is not None:
        return False
    return _text(region, Problems()) is not None


def _encrypted(segment: bytes, version: str | None) -> bool:
    """Whether CP holds ciphertext: a telegram of 2025 whose CP is no text that begins `name=`."""
    start, stop = _region(segment)
    region = segment[start:stop]
    if _clear(region):
        return False
    if version is None:
        flag = _FLAG.search(segment, 0, start)
        if flag is None or int(flag.group(1)) >> 2 != 2:
            return False
    from jingwei.hj212 import sm4

    # Under 16 bytes nothing is enciphered: only a text form can make it unreadable.
    strange = _CONTROL.search(region) is not None or _text(region, Problems()) is None
    if len(region) >= 16 and (strange or not region.isascii()):
        return True
    return any(form != "raw" for form, _ in sm4.read(region))


def _decrypted(segment: bytes, key: bytes, given: int | None) -> bytes:
    """The clear segment, best one that the check sum confirms; the same object if none opens."""
    from jingwei.hj212 import sm4

    start, stop = _region(segment)
    best = None
    for _, cipher in sm4.read(segment[start:stop]):
        clear = sm4.decrypt(cipher, key)
        if not _clear(clear):
            continue
        whole = segment[:start] + clear + segment[stop:]
        if given is None or crc16(whole) == given:
            return whole
        best = best or whole
    return best or segment


# ── frames ─────────────────────────────────────────────────────────────────────────────────────


def _dialect(segment: bytes, text: str, value: int, computed: int) -> str | None:
    """How a check sum that is not the printed one in four upper-case digits was made, if known."""
    if value == computed:
        return "lower" if len(text) == 4 else "unpadded"
    if value == (computed & 0xFF) << 8 | computed >> 8:
        return "swapped"
    other = modbus(segment)
    if value == other:
        return "modbus"
    if value == (other & 0xFF) << 8 | other >> 8:
        return "modbus-swapped"
    return None


def _crc(
    segment: bytes, given: bytes, dialects: frozenset[str], cipher: bytes | None = None
) -> tuple[Crc, str | None]:
    """The check sum's verdict and the error to report, if any."""
    computed = crc16(segment)
    text = given.decode()
    right = f"{computed:04X}"
    if text == right:
        return Crc(text, right, True, None), None
    value = int(text, 16)
    dialect = _dialect(segment, text, value, computed)
    if dialect is None and cipher is not None and crc16(cipher) == value:
        dialect = "ciphertext"
    if dialect is None:
        return Crc(text, right, False, None), f"wrong CRC: {text} given, {right} computed"
    if dialect in dialects:
        return Crc(text, right, True, dialect), None
    error = f"CRC dialect '{dialect}' is not accepted: {text} given, {right} computed"
    return Crc(text, right, dialect == "lower", dialect), error


def _misfit(frame: bytes, body: bytes, declared: int | None, version: str | None) -> Message:
    """A frame whose parts are not where its length says: never usable, read as far as it goes."""
    rest = body[2:] if declared is None else body[6:]
    end = _END.search(rest)
    present = len(rest) if end is None else end.start() + 2
    given = None if end is None else end.group(1)
    if declared is None:
        error = "no frame: no four digits of length behind '##'"
    elif _GLUED.match(rest, declared):
        error = f"more than one telegram: {len(rest) - declared - 4} bytes behind the first"
        present, given = declared, rest[declared : declared + 4]
    elif given is not None:
        error = f"wrong length: {declared} declared, {present} bytes present"
        text = _text(rest[:present], Problems())
        if text is not None and len(text) == declared:
            error += f" ({declared} characters: bytes are to be counted)"
    elif len(rest) < declared + 4:
        error = f"incomplete: {len(rest)} of {declared + 4} bytes behind the length"
    else:
        error = f"no CRC behind the declared length {declared}"
    segment = rest[:present]
    if given is None:
        crc = Crc(None, f"{crc16(segment):04X}", False, None)
    else:
        crc, _ = _crc(segment, given, frozenset())
    return _message(segment, frame, version, crc, error, Problems())


# A telegram with a header as the standard prints it: what nearly all are.
_USUAL: Final = re.compile(
    r"##([0-9]{4})QN=([0-9]{17});ST=([0-9A-Z]{2});CN=([0-9]{4});PW=([0-9A-Za-z]{6});"
    r"MN=([0-9A-Fa-f]{24});Flag=([4589]);CP=&&(DataTime=([0-9]{14})(?:;[!-%'-~]*)?)&&([0-9A-F]{4})"
)
_USUAL_FLAGS: Final = {"2017": ("4", "5"), "2025": ("8", "9")}


@lru_cache(maxsize=4096)
def _sound(st: str, cn: str, time: str, version: str) -> bool:
    """Whether the standard of the version has ST and CN, and the time is one."""
    system = codes.system(st, version)
    known = system is not None and system.version in VERSIONS
    return known and version in COMMANDS.get(cn, ()) and moment(time) is not None


def _usual(frame: bytes, version: str) -> Message | None:
    """What `decode` says of a clear telegram of a registered device in whose header nothing
    deviates, read at once; None for any other."""
    found = _USUAL.fullmatch(frame.decode("ascii"))
    if found is None:
        return None
    declared, qn, st, cn, pw, mn, flag, cp, time, given = found.groups()
    size = len(frame) - 10
    if (
        int(declared) != size
        or size > _LIMIT
        or flag not in _USUAL_FLAGS[version]
        or f"{crc16(frame[6:-4]):04X}" != given
        or not _sound(st, cn, time, version)
    ):
        return None
    content, problems = Content({}, [], {}, None, None), Problems()
    read_cp(cp, content, problems)
    if content.error is not None or content.data_time != time:
        return None
    return Message(
        True, None, version, qn, st, cn, mn, pw, int(flag), None, None, time, None,
        content.all(), content.params, Crc(given, given, True, None), problems.texts(), frame,
    )  # fmt: skip


def decode(
    frame: bytes,
    *,
    version: str | None = None,
    key: bytes | None = None,
    dialects: frozenset[str] = frozenset(),
) -> Message:
    """Reads one whole frame, `##` to check sum, with or without CR LF. Never raises on content.

    `version` is the register's ("2005", "2017", "2025"); without it, it is guessed (see the
    module). `key` (16 bytes) deciphers telegrams of 2025. `dialects` are the deviating check
    sums accepted from this device (see `Crc`). Raises ValueError for a wrong `version` or `key`.
    """
    _check(version, key)
    if key is None and version in _USUAL_FLAGS and frame.isascii():
        usual = _usual(frame, version)
        if usual is not None:
            return usual
    body = frame.rstrip(b"\r\n")
    problems = Problems()
    if not body.startswith(b"##"):
        error = "no frame: it does not begin with '##'"
        return _message(body, frame, version, None, error, problems)
    digits = body[2:6]
    if len(digits) != 4 or not digits.isdigit():
        return _misfit(frame, body, None, version)
    declared = int(digits)
    segment = body[6 : 6 + declared]
    given = body[6 + declared :]
    if given.endswith(b"**"):
        problems.add("terminator '**' instead of CR LF")
        given = given[:-2]
    if _HEX.fullmatch(given) is None or (len(given) < 4 and not segment.endswith(b"&&")):
        return _misfit(frame, body, declared, version)
    cipher = None
    if not segment.endswith(b"CP=&&&&") and version in (None, "2025"):
        if _encrypted(segment, version):
            cipher = segment
            if key is None:
                crc = Crc(given.decode(), f"{crc16(segment):04X}", False, None)
                return _sealed(segment, frame, version, crc, problems, _NO_KEY)
            segment = _decrypted(segment, key, int(given, 16))
            if segment is cipher:
                crc = Crc(given.decode(), f"{crc16(segment):04X}", False, None)
                return _sealed(segment, frame, version, crc, problems, _WRONG_KEY)
        elif key is not None and _ENCRYPTED_CN.search(segment) is not None:
            problems.add("clear text although the device has a key")
    crc, error_or_none = _crc(segment, given, dialects, cipher)
    return _message(segment, frame, version, crc, error_or_none, problems)


def decode_segment(
    segment: bytes, *, version: str | None = None, key: bytes | None = None
) -> Message:
    """Reads a bare data segment (no `##`, length and check sum), as the standards print them.

    `crc.ok` is None: there is nothing to compare. Otherwise as `decode`.
    """
    _check(version, key)
    body = segment.rstrip(b"\r\n")
    problems = Problems()
    if version in (None, "2025") and _encrypted(body, version):
        clear = body if key is None else _decrypted(body, key, None)
        if clear is body:
            crc = Crc(None, f"{crc16(body):04X}", None, None)
            why = _NO_KEY if key is None else _WRONG_KEY
            return _sealed(body, segment, version, crc, problems, why)
        body = clear
    crc = Crc(None, f"{crc16(body):04X}", None, None)
    return _message(body, segment, version, crc, None, problems)


_NO_KEY: Final = "encrypted, and no key was given"
_WRONG_KEY: Final = "encrypted, and the key does not open it"


def _sealed(
    segment: bytes,
    raw: bytes,
    version: str | None,
    crc: Crc,
    problems: Problems,
    error: str,
) -> Message:
    """A telegram whose CP stays unread: only its header is."""
    start, stop = _region(segment)
    return _message(segment[:start] + segment[stop:], raw, version, crc, error, problems)


def _check(version: str | None, key: bytes | None) -> None:
    if version is not None and version not in VERSIONS:
        raise ValueError(f"version {version!r}: wanted one of {', '.join(VERSIONS)}")
    if key is not None and len(key) != 16:
        raise ValueError(f"an SM4 key has 16 bytes, not {len(key)}")


def opened(raw: bytes, key: bytes | None = None) -> bytes:
    """The data segment of a frame as bytes; with `key` the clear one, where the key opens it.

    The frame must be one that `decode` takes (its length is right). Raises ValueError for others.
    """
    if not raw.startswith(b"##") or not raw[2:6].isdigit() or len(raw) < 6 + int(raw[2:6]):
        raise ValueError("no frame")
    end = 6 + int(raw[2:6])
    segment = raw[6:end]
    if key is None:
        return segment
    try:
        given = int(raw[end:].strip(), 16)
    except ValueError:
        given = None
    return _decrypted(segment, key, given)
