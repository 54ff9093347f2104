"""The compiled part of `columns`: one pass over the bytes of many telegrams."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

import numba as nb
import numpy as np

from jingwei.telemetry.observations import AHEAD, BEHIND, EARLIEST, LATEST

F = TypeVar("F", bound=Callable[..., Any])


def _njit(function: F) -> F:
    return cast(F, nb.njit(cache=True, nogil=True)(function))


def _word(text: str) -> int:
    return int.from_bytes(text.encode().ljust(8, b"\0"), "big")


_RTD, _AVG, _MIN, _MAX, _COU = (_word(f) for f in ("Rtd", "Avg", "Min", "Max", "Cou"))
_ZSRTD, _ZSAVG, _ZSMIN, _ZSMAX = (_word(f) for f in ("ZsRtd", "ZsAvg", "ZsMin", "ZsMax"))
_FLAG, _EFLAG = _word("Flag"), _word("EFlag")
_QN, _ST, _CN, _PW, _MN = (_word(f) for f in ("QN", "ST", "CN", "PW", "MN"))
_CP, _DATATIME = _word("CP"), _word("DataTime")
_DIGITS: Final = 15
_EARLIEST, _LATEST, _AHEAD, _BEHIND = EARLIEST, LATEST, AHEAD, BEHIND


def _steps(register: int) -> int:
    for _ in range(8):
        register = (register >> 1) ^ 0xA001 if register & 1 else register >> 1
    return register


TABLE: Final = np.array([_steps(value) for value in range(256)], np.int64)
POWERS: Final = np.array([float(10**k) for k in range(_DIGITS + 1)])


@_njit
def _crc_right(data: Any, a: int, b: int, given: int, table: Any) -> bool:
    """Whether the four upper-case digits at `given` are the check sum of data[a:b]."""
    lanes = np.zeros(8, np.int64)
    for i in range(a, b):
        lanes[(b - 1 - i) & 7] ^= data[i]
    lanes[(b - 1 - a) & 7] ^= 0xFF
    state = 0
    for k in range(7, 0, -1):
        state = table[state ^ lanes[k]] >> 8
    crc = table[state ^ lanes[0]]
    for k in range(4):
        digit = (crc >> (12 - 4 * k)) & 15
        if data[given + k] != (48 + digit if digit < 10 else 55 + digit):
            return False
    return True


@_njit
def _two(data: Any, at: int) -> int:
    """The number of two digits, or a large negative one."""
    tens, ones = data[at] - 48, data[at + 1] - 48
    if tens < 0 or tens > 9 or ones < 0 or ones > 9:
        return -1_000_000
    return int(10 * tens + ones)


@_njit
def _moment(data: Any, at: int) -> int:
    """Microseconds since 1970 UTC of 14 digits of Asia/Shanghai; -1 where they are no time."""
    year = 100 * _two(data, at) + _two(data, at + 2)
    month, day = _two(data, at + 4), _two(data, at + 6)
    hour, minute, second = _two(data, at + 8), _two(data, at + 10), _two(data, at + 12)
    if year < 1990 or month < 1 or month > 12 or day < 1:
        return -1
    if hour < 0 or hour > 23 or minute < 0 or minute > 59 or second < 0 or second > 59:
        return -1
    longest = 31
    if month == 4 or month == 6 or month == 9 or month == 11:
        longest = 30
    elif month == 2:
        longest = 29 if (year % 4 == 0 and year % 100 != 0) or year % 400 == 0 else 28
    if day > longest:
        return -1
    y = year - 1 if month <= 2 else year
    era_day = 365 * y + y // 4 - y // 100 + y // 400
    month_day = (153 * (month - 3 if month > 2 else month + 9) + 2) // 5 + day - 1
    days = era_day + month_day - 719_468
    return ((days * 24 + hour - 8) * 60 + minute) * 60_000_000 + second * 1_000_000


@_njit
def scan(
    data: Any, start: Any, stop: Any, received: Any, table: Any, powers: Any,
    status: Any, resolution: Any, at: Any, mn: Any, st: Any,
    telegram: Any, code: Any, values: Any, flag: Any,
) -> int:  # fmt: skip
    """Read telegrams data[start:stop]; the number of rows written to the last four arrays.

    status 1: read, with its resolution (index of `columns.RESOLUTIONS`), time (microseconds), MN
    and ST; 0: left to the plain decoder. values: value, min, max, cou, zs, zs_min, zs_max; NaN:
    not sent. Codes and flags as words (see `columns`).
    """
    count = 0
    for t in range(len(start)):
        first = count
        # The frame: '##', four digits, the segment, the check sum.
        a, b = start[t], stop[t]
        while b > a and (data[b - 1] == 13 or data[b - 1] == 10):
            b -= 1
        if b - a < 40 or data[a] != 35 or data[a + 1] != 35:
            continue
        if 100 * _two(data, a + 2) + _two(data, a + 4) != b - a - 10:
            continue
        a, b = a + 6, b - 4
        if data[b - 1] != 38 or data[b - 2] != 38 or not _crc_right(data, a, b, b, table):
            continue
        b -= 2  # behind the last item
        # The header: name=value; until CP=&&
        known = 0
        command = -1
        pos = a
        sound = False
        while pos < b:
            name = np.uint64(0)
            shift = 56
            while pos < b and data[pos] != 61 and shift >= 0:
                name |= np.uint64(data[pos]) << np.uint64(shift)
                shift -= 8
                pos += 1
            if pos >= b or data[pos] != 61:
                break
            pos += 1
            if name == np.uint64(_CP):
                sound = pos + 2 <= b and data[pos] == 38 and data[pos + 1] == 38
                pos += 2
                break
            begin = pos
            while pos < b and data[pos] != 59:
                c = data[pos]
                if c < 33 or c > 126 or c == 44 or c == 61 or c == 38:
                    break
                pos += 1
            if pos >= b or data[pos] != 59:
                break
            length = pos - begin
            pos += 1
            if name == np.uint64(_QN):
                bit = 1
            elif name == np.uint64(_PW):
                bit = 2
            elif name == np.uint64(_FLAG):
                bit = 4
                if length != 1 or data[begin] < 48 or data[begin] > 57 or (data[begin] - 48) & 2:
                    break
            elif name == np.uint64(_ST):
                bit = 8
                if length < 1 or length > 4:
                    break
                for k in range(length):
                    st[t, k] = data[begin + k]
            elif name == np.uint64(_MN):
                bit = 16
                if length < 1 or length > 24:
                    break
                for k in range(length):
                    mn[t, k] = data[begin + k]
            elif name == np.uint64(_CN):
                bit = 32
                if length != 4 or data[begin] != 50 or data[begin + 1] != 48:
                    break
                last = _two(data, begin + 2)
                command = 0 if last == 11 else 1 if last == 51 else 2 if last == 61 else -1
                if last == 31:
                    command = 3
                if command < 0:
                    break
            else:
                break
            if known & bit:
                break
            known |= bit
        if not sound or known & 56 != 56:
            continue
        # DataTime
        if b - pos < 24:
            continue
        name = np.uint64(0)
        for k in range(8):
            name |= np.uint64(data[pos + k]) << np.uint64(56 - 8 * k)
        if name != np.uint64(_DATATIME) or data[pos + 8] != 61 or data[pos + 23] != 59:
            continue
        when = _moment(data, pos + 9)
        if when < _EARLIEST or when >= _LATEST:
            continue
        if when > received[t] + _AHEAD or when < received[t] - _BEHIND:
            continue
        pos += 24
        # The items: code-Field=value, separated by ',' within an item and by ';' between items
        fresh = True
        sound = pos < b
        mask = 0
        rtd = zsrtd = np.nan
        while pos < b:
            name = np.uint64(0)
            shift = 56
            while pos < b and shift >= 0:
                c = data[pos]
                if not (48 <= c <= 57 or 65 <= c <= 90 or 97 <= c <= 122):
                    break
                name |= np.uint64(c) << np.uint64(shift)
                shift -= 8
                pos += 1
            if shift == 56 or pos >= b or data[pos] != 45:
                sound = False
                break
            pos += 1
            field = np.uint64(0)
            shift = 56
            while pos < b and data[pos] != 61 and shift >= 0:
                field |= np.uint64(data[pos]) << np.uint64(shift)
                shift -= 8
                pos += 1
            if pos >= b or data[pos] != 61:
                sound = False
                break
            pos += 1
            if fresh:
                for k in range(first, count):
                    if code[k] == name:
                        sound = False
                if not sound:
                    break
                telegram[count] = t
                code[count] = name
                flag[count] = np.uint64(0)
                for k in range(7):
                    values[k, count] = np.nan
                mask = 0
                rtd = zsrtd = np.nan
                fresh = False
            elif code[count] != name:
                sound = False
                break
            if field == np.uint64(_FLAG) or field == np.uint64(_EFLAG):
                word = np.uint64(0)
                shift = 56
                while pos < b and shift >= 0 and data[pos] != 44 and data[pos] != 59:
                    c = data[pos]
                    if not (48 <= c <= 57 or 65 <= c <= 90 or 97 <= c <= 122):
                        break
                    word |= np.uint64(c) << np.uint64(shift)
                    shift -= 8
                    pos += 1
                bit = 1024
                if field == np.uint64(_FLAG):
                    bit = 1
                    flag[count] = word
                if shift == 56:
                    sound = False
                    break
            else:
                negative = pos < b and data[pos] == 45
                if negative:
                    pos += 1
                mantissa = np.int64(0)
                digits = 0
                behind = -1
                while pos < b:
                    c = data[pos]
                    if 48 <= c <= 57:
                        mantissa = mantissa * 10 + (c - 48)
                        digits += 1
                        if behind >= 0:
                            behind += 1
                    elif c == 46 and behind < 0 and digits > 0:
                        behind = 0
                    else:
                        break
                    if digits > _DIGITS:
                        break
                    pos += 1
                if digits == 0 or digits > _DIGITS:
                    sound = False
                    break
                value = float(mantissa)
                if behind > 0:
                    value /= powers[behind]
                if negative:
                    value = -value
                if field == np.uint64(_AVG):
                    bit = 2
                    values[0, count] = value
                elif field == np.uint64(_RTD):
                    bit = 4
                    rtd = value
                elif field == np.uint64(_MIN):
                    bit = 8
                    values[1, count] = value
                elif field == np.uint64(_MAX):
                    bit = 16
                    values[2, count] = value
                elif field == np.uint64(_COU):
                    bit = 32
                    values[3, count] = value
                elif field == np.uint64(_ZSAVG):
                    bit = 64
                    values[4, count] = value
                elif field == np.uint64(_ZSRTD):
                    bit = 128
                    zsrtd = value
                elif field == np.uint64(_ZSMIN):
                    bit = 256
                    values[5, count] = value
                elif field == np.uint64(_ZSMAX):
                    bit = 512
                    values[6, count] = value
                else:
                    sound = False
                    break
            if mask & bit:
                sound = False
                break
            mask |= bit
            if pos < b and data[pos] == 44:
                pos += 1
                sound = pos < b
                continue
            if pos < b and data[pos] != 59:
                sound = False
                break
            # The item ends.
            if mask & 1023 == 0:
                sound = False
                break
            if mask & 4 and (command == 0 or not mask & 2):
                values[0, count] = rtd
            if mask & 128 and (command == 0 or not mask & 64):
                values[4, count] = zsrtd
            count += 1
            fresh = True
            if pos < b:
                pos += 1
                sound = pos < b
        if not sound or not fresh:
            count = first
            continue
        status[t] = 1
        resolution[t] = command
        at[t] = when
    return count
