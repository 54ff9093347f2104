"""The printed check sum, against the loop as it is printed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jingwei.hj212.crc import crc16, modbus


def printed(data: bytes) -> int:
    """HJ 212-2017 appendix A, line by line."""
    register = 0xFFFF
    for byte in data:
        register = (register >> 8) ^ byte
        for _ in range(8):
            low = register & 1
            register >>= 1
            if low:
                register ^= 0xA001
    return register


@given(st.binary(max_size=300))
def test_fold_equals_the_printed_loop(data: bytes) -> None:
    assert crc16(data) == printed(data)


@pytest.mark.parametrize("length", [0, 1, 7, 8, 9, 15, 16, 17, 63, 64, 65, 1024, 9999])
def test_fold_equals_the_printed_loop_at_the_edges_of_the_lanes(length: int) -> None:
    data = bytes((i * 37 + length) & 0xFF for i in range(length))
    assert crc16(data) == printed(data)


# The worked example of appendix A (its prose prints 1C08, its telegram 1C80), that of
# HJ 212-2025 A.1, and a public parser's corrected sample.
@pytest.mark.parametrize(
    ("segment", "crc"),
    [
        (
            b"QN=20160801085857223;ST=32;CN=1062;PW=100000;MN=010000A8900016F000169DC0;"
            b"Flag=5;CP=&&RtdInterval=30&&",
            0x1C80,
        ),
        (
            b"QN=20240601085857223;ST=32;CN=1011;PW=123456;MN=010000A8900016F000169DC0;"
            b"Flag=9;CP=&&&&",
            0x2200,
        ),
    ],
)
def test_worked_examples(segment: bytes, crc: int) -> None:
    assert crc16(segment) == crc


def test_modbus_is_another_check_sum() -> None:
    assert modbus(b"123456789") == 0x4B37  # the catalogue value of CRC-16/MODBUS
    assert crc16(b"123456789") != modbus(b"123456789")


@given(st.binary(min_size=9, max_size=80), st.data())
def test_only_eight_bits_of_state_are_carried(data: bytes, draw: st.DataObject) -> None:
    # Why the check sum is neither a key nor evidence: bytes eight apart may change places.
    i = draw.draw(st.integers(0, len(data) - 9))
    swapped = bytearray(data)
    swapped[i], swapped[i + 8] = swapped[i + 8], swapped[i]
    assert crc16(bytes(swapped)) == crc16(data)


@given(st.binary(min_size=1, max_size=80), st.data())
def test_one_wrong_byte_is_always_seen(data: bytes, draw: st.DataObject) -> None:
    i = draw.draw(st.integers(0, len(data) - 1))
    other = bytearray(data)
    other[i] ^= draw.draw(st.integers(1, 255))
    assert crc16(bytes(other)) != crc16(data)
