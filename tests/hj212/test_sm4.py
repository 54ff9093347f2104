"""SM4 as in HJ 212-2025 appendix A.2 and H.1.2, in every form in which ciphertext may travel."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jingwei.hj212 import Reader, decode, decode_segment, frame, sm4

from .samples import HEAD, vectors

VECTORS = vectors()
HEAD25 = HEAD.replace("Flag=5", "Flag=9")
KEY = b"0123456789abcdef"
CP = "DataTime=20240601080000;w01018-Avg=40.1,w01018-Flag=N;w21003-Avg=1.25,w21003-Flag=N"


@pytest.mark.parametrize("name", ["a2_1", "a2_2"])
def test_vectors_of_appendix_a(name: str) -> None:
    vector = VECTORS[name]
    key = bytes.fromhex(vector["key_hex"])
    clear = vector["plain_region"].encode()
    cipher = bytes.fromhex(vector["cipher_hex"]) + vector.get("clear_tail", "").encode()
    assert sm4.encrypt(clear, key) == cipher
    assert sm4.decrypt(cipher, key) == clear
    raw = frame(f"{vector['header']}CP=&&{clear.decode()}&&", key=key)
    assert raw[2:6] == b"%04d" % vector["declared_length"]  # raw bytes, as the printed length says
    assert raw[-6:] == vector["crc"].encode() + b"\r\n"  # of the clear segment
    assert raw == b"##%04d%bCP=&&%b&&%b\r\n" % (
        vector["declared_length"], vector["header"].encode(), cipher, vector["crc"].encode(),
    )  # fmt: skip
    message = decode(raw, key=key)
    assert message.ok, message.error
    assert message.data_time == "20240520210600"
    assert message.items[0].code == "a01011"
    assert message.items[-1].fields["Flag"] == "N"
    assert message.problems == ()


def test_vector_of_appendix_h() -> None:
    vector = VECTORS["h_1_2"]
    user, _, password = vector["plain"].partition(":")
    key = vector["key_ascii"].encode()
    assert sm4.authorization(user, password, key) == vector["base64"]


def test_the_block_cipher_is_that_of_gb_t_32907() -> None:
    # GB/T 32907-2016 appendix A, example 1.
    key = bytes.fromhex("0123456789abcdeffedcba9876543210")
    assert sm4.encrypt(key, key).hex() == "681edf34d206965e86b3e94f536e4246"


@pytest.mark.parametrize("form", sm4.FORMS)
@pytest.mark.parametrize("flag", [8, 9])
@pytest.mark.parametrize("length", range(24, 60))
def test_every_form_and_every_remainder(form: str, flag: int, length: int) -> None:
    head = HEAD.replace("Flag=5", f"Flag={flag}").replace("2051", "3020")
    cp = f"DataTime=20240601080000;i11001-Info={'x' * (length - 24)}"
    raw = frame(f"{head}CP=&&{cp}&&", key=KEY, form=form)
    assert Reader().feed(raw) == [raw.rstrip()]
    message = decode(raw, key=KEY)
    assert message.ok, message.error
    assert message.data_time == "20240601080000"
    assert message.items[0].fields == {"Info": "x" * (length - 24)}
    assert message.problems == ()
    assert decode_segment(raw[6:-6], key=KEY).items == message.items


@pytest.mark.parametrize("form", sm4.FORMS)
@pytest.mark.parametrize("length", range(3, 24))
def test_a_short_content_in_every_form(form: str, length: int) -> None:
    """Under 16 bytes nothing is enciphered, and yet the content may come as hex or Base64."""
    cp = "A=" + "1" * (length - 2)
    head = HEAD25.replace("CN=2051", "CN=3020")
    message = decode(frame(f"{head}CP=&&{cp}&&", key=KEY, form=form), key=KEY)
    assert message.ok, message.error
    assert message.params == {"A": "1" * (length - 2)}


@pytest.mark.parametrize("form", ["hex", "base64", "literal"])
def test_a_clear_remainder_behind_text(form: str) -> None:
    # Implementations differ in whether the remainder is inside the text encoding.
    whole = CP.encode()
    cut = len(whole) // 16 * 16
    clear, tail = whole[:cut], whole[cut:]
    region = sm4.write(sm4.encrypt(clear, KEY), form) + tail
    crc = frame(f"{HEAD25}CP=&&{CP}&&")[-6:]
    body = f"{HEAD25}CP=&&".encode() + region + b"&&"
    message = decode(b"##%04d%b%b" % (len(body), body, crc), key=KEY)
    assert message.ok, message.error
    assert len(message.items) == 2


def test_lower_case_hex_and_spaces_in_the_literal() -> None:
    cipher = sm4.encrypt(CP.encode(), KEY)
    crc = frame(f"{HEAD25}CP=&&{CP}&&")[-6:]
    inside, brace, tail = sm4.write(cipher, "literal").partition(b"}")
    literal = re.sub(rb",", b", ", inside.lower()) + brace + tail
    for region in (cipher.hex().encode(), literal):
        body = f"{HEAD25}CP=&&".encode() + region + b"&&"
        assert decode(b"##%04d%b%b" % (len(body), body, crc), key=KEY).ok


def test_without_the_key_the_header_is_read_and_the_content_refused() -> None:
    raw = frame(f"{HEAD25}CP=&&{CP}&&", key=KEY)
    for version in (None, "2025"):
        message = decode(raw, version=version)
        assert message.error == "encrypted, and no key was given"
        assert (message.mn, message.cn) == ("010000A8900016F000169DC0", "2051")
        assert message.items == ()
        assert message.version == "2025"
    assert decode(raw, key=b"f" * 16).error == "encrypted, and the key does not open it"
    assert decode_segment(raw[6:-6]).error == "encrypted, and no key was given"
    assert decode_segment(raw[6:-6], key=b"f" * 16).error == (
        "encrypted, and the key does not open it"
    )


def test_a_wrong_check_sum_is_seen_behind_the_cipher() -> None:
    raw = frame(f"{HEAD25}CP=&&{CP}&&", key=KEY)
    other = raw[:-6] + (b"0000" if raw[-6:-2] != b"0000" else b"0140") + b"\r\n"
    message = decode(other, key=KEY)
    assert not message.ok
    assert message.error is not None
    assert message.error.startswith("wrong CRC")
    assert len(message.items) == 2


def test_a_check_sum_over_the_ciphertext_is_a_dialect() -> None:
    body = sm4.encrypt_segment(f"{HEAD25}CP=&&{CP}&&".encode(), KEY)
    raw = frame(body)
    refused = decode(raw, key=KEY)
    assert not refused.ok
    assert refused.crc is not None
    assert refused.crc.dialect == "ciphertext"
    assert decode(raw, key=KEY, dialects=frozenset({"ciphertext"})).ok


@pytest.mark.parametrize(("cn", "named"), [("2051", True), ("1014", True), ("1062", False)])
def test_clear_text_from_a_device_with_a_key_is_named(cn: str, named: bool) -> None:
    # HJ 212-2025 6.4.4: 2000-2999, 1014 and 3020 are to be encrypted.
    cp = CP if cn == "2051" else "SKCreateTime=20240601085857223" if named else "RtdInterval=30"
    message = decode(frame(f"{HEAD25.replace('2051', cn)}CP=&&{cp}&&"), key=KEY)
    assert message.ok, message.error
    assert ("clear text although the device has a key" in message.problems) is named


def test_garbage_of_2017_is_not_taken_for_ciphertext() -> None:
    message = decode(frame(HEAD.encode() + b"CP=&&" + b"\x01" * 32 + b"&&"))
    assert message.error == "ungrammatical: control characters"


def _with_traps() -> list[tuple[bytes, bytes]]:
    """Keys whose ciphertext of CP holds '&&', CR LF or '##' (1 % of all; found by trying)."""
    found = []
    for wanted in (b"&&", b"\r\n", b"##"):
        for n in range(100_000):
            key = b"%016d" % n
            if wanted in sm4.encrypt(CP.encode(), key):
                found.append((wanted, key))
                break
    return found


@pytest.mark.parametrize(("wanted", "key"), _with_traps())
def test_ciphertext_that_looks_like_the_frame(wanted: bytes, key: bytes) -> None:
    raw = frame(f"{HEAD25}CP=&&{CP}&&", key=key)
    assert wanted in raw[raw.index(b"CP=&&") + 5 : -8]
    stream = raw * 3
    for step in (1, 7, len(stream)):
        reader = Reader()
        parts = [p for i in range(0, len(stream), step) for p in reader.feed(stream[i : i + step])]
        assert parts == [raw.rstrip(b"\r\n")] * 3
    message = decode(raw, key=key)
    assert message.ok, message.error
    assert len(message.items) == 2


@settings(max_examples=100, deadline=None)
@given(st.binary(min_size=16, max_size=16), st.sampled_from(sm4.FORMS), st.integers(0, 30))
def test_any_key(key: bytes, form: str, number: int) -> None:
    cp = ";".join(["DataTime=20240601080000", *(f"a{n:05}-Avg={n}.5" for n in range(number))])
    message = decode(frame(f"{HEAD25}CP=&&{cp}&&", key=key, form=form), key=key)
    assert message.ok, message.error
    assert len(message.items) == number


def test_mistakes_of_the_caller() -> None:
    with pytest.raises(ValueError, match="16 bytes, not 5"):
        sm4.encrypt(b"", b"short")
    with pytest.raises(ValueError, match="form 'rot13'"):
        sm4.write(b"x" * 16, "rot13")
    with pytest.raises(ValueError, match="no CP"):
        frame("QN=1;CN=9014;", key=KEY)
