"""SM2 signatures (GB/T 32918.2-2016) on the curve sm2p256v1 (GB/T 32918.5-2017), with SM3.

Verification is arithmetic on public values, done here: `cryptography` has no SM2. Keys are made
and used by the OpenSSL 3 command line, which does it in constant time; an HSM takes its place
behind `note.Signer`.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from jingwei.evidence import digest

P = 0xFFFFFFFE_FFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFF_00000000_FFFFFFFF_FFFFFFFF
A = P - 3
B = 0x28E9FA9E_9D9F5E34_4D5A9E4B_CF6509A7_F39789F5_15AB8F92_DDBCBD41_4D940E93
N = 0xFFFFFFFE_FFFFFFFF_FFFFFFFF_FFFFFFFF_7203DF6B_21C6052B_53BBF409_39D54123
G = (
    0x32C4AE2C_1F198119_5F990446_6A39C994_8FE30BBF_F2660BE1_715A4589_334C74C7,
    0xBC3736A2_F4F6779C_59BDCEE3_6B692153_D0A9877C_C62A4740_02DF32E5_2139F0A0,
)
DEFAULT_ID = b"1234567812345678"
"""The identifier that GB/T 35276 lets both sides assume where none was agreed."""

_TIMEOUT = 30
_Point = tuple[int, int, int]  # Jacobian (X, Y, Z): x = X/Z^2, y = Y/Z^3; Z = 0 is infinity


class Sm2Error(ValueError):
    """A key that is none, or OpenSSL that cannot do it; the text says why."""


def point(public: bytes) -> tuple[int, int]:
    """The point of a public key `04 || x || y` (65 bytes); `Sm2Error` unless it is on the curve."""
    if len(public) != 65 or public[0] != 4:
        raise Sm2Error("an SM2 public key has 65 bytes and begins with 04")
    x, y = int.from_bytes(public[1:33], "big"), int.from_bytes(public[33:], "big")
    if x >= P or y >= P or (y * y - x * x * x - A * x - B) % P:
        raise Sm2Error("the SM2 public key is no point of the curve")
    return x, y


def message_digest(public: bytes, message: bytes, identity: bytes = DEFAULT_ID) -> bytes:
    """e = SM3(Z || M), Z = SM3(ENTL || ID || a || b || G || key) (GB/T 32918.2 sections 5.5, 6.1)."""
    x, y = point(public)
    numbers = b"".join(v.to_bytes(32, "big") for v in (A, B, *G, x, y))
    z = digest.sm3((8 * len(identity)).to_bytes(2, "big") + identity + numbers)
    return digest.sm3(z + message)


def verify(public: bytes, message: bytes, signature: bytes, identity: bytes = DEFAULT_ID) -> bool:
    """Whether `signature` (r || s, 64 bytes) is the key's over `message`; False for anything else."""
    try:
        e = message_digest(public, message, identity)
    except Sm2Error:
        return False
    return verify_digest(public, e, signature)


def verify_digest(public: bytes, e: bytes, signature: bytes) -> bool:
    """The same over a digest that was already taken (GB/T 32918.2 section 7.1, B4 to B7)."""
    try:
        key = point(public)
    except Sm2Error:
        return False
    if len(signature) != 64:
        return False
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    if not (1 <= r < N and 1 <= s < N):
        return False
    t = (r + s) % N
    if t == 0:
        return False
    x, _, z = _add(_multiply(s, (*G, 1)), _multiply(t, (*key, 1)))
    if z == 0:
        return False
    x1 = x * pow(z, -2, P) % P
    return (int.from_bytes(e, "big") + x1) % N == r


def from_der(der: bytes) -> bytes:
    """r || s of a DER signature SEQUENCE { INTEGER r, INTEGER s }; `Sm2Error` for another form."""
    at = 2
    numbers = []
    try:
        if der[0] != 0x30 or der[1] != len(der) - 2 or len(der) > 72:
            raise ValueError
        for _ in range(2):
            size = der[at + 1]
            value = der[at + 2 : at + 2 + size]
            minimal = len(value) == 1 or value[0] or value[1] & 0x80
            if der[at] != 2 or len(value) != size or value[0] & 0x80 or not minimal:
                raise ValueError
            numbers.append(int.from_bytes(value, "big").to_bytes(32, "big"))
            at += 2 + size
        if at != len(der):
            raise ValueError
    except (ValueError, IndexError, OverflowError):
        raise Sm2Error("no DER signature of two integers") from None
    return b"".join(numbers)


def generate() -> bytes:
    """A new private key, PEM."""
    return _openssl("genpkey", "-algorithm", "SM2")


def public_key(key: Path) -> bytes:
    """`04 || x || y` of the private key in the file `key`."""
    public = _openssl("pkey", "-in", str(key), "-pubout", "-outform", "DER")[-65:]
    point(public)
    return public


def sign(key: Path, message: bytes, identity: bytes = DEFAULT_ID) -> bytes:
    """r || s over `message`, made by OpenSSL with the private key in the file `key`."""
    distid = f"distid:{identity.decode()}"
    return from_der(_openssl("dgst", "-sm3", "-sign", str(key), "-sigopt", distid, data=message))


def _openssl(*arguments: str, data: bytes = b"") -> bytes:
    program = shutil.which("openssl")
    if not program:
        raise Sm2Error("SM2 needs the program openssl (version 3)")
    try:
        done = subprocess.run(  # noqa: S603
            [program, *arguments], input=data, capture_output=True, timeout=_TIMEOUT, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Sm2Error(f"openssl {arguments[0]}: {error}") from None
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
        raise Sm2Error(f"openssl {arguments[0]}: {lines[0]}")
    return done.stdout


def _double(p: _Point) -> _Point:
    x, y, z = p
    if not z or not y:
        return 0, 1, 0
    delta = z * z % P
    gamma = y * y % P
    beta = x * gamma % P
    alpha = 3 * (x - delta) * (x + delta) % P  # a = -3
    x3 = (alpha * alpha - 8 * beta) % P
    return x3, (alpha * (4 * beta - x3) - 8 * gamma * gamma) % P, 2 * y * z % P


def _add(p: _Point, q: _Point) -> _Point:
    if not p[2]:
        return q
    if not q[2]:
        return p
    z1, z2 = p[2] * p[2] % P, q[2] * q[2] % P
    u1, u2 = p[0] * z2 % P, q[0] * z1 % P
    s1, s2 = p[1] * z2 * q[2] % P, q[1] * z1 * p[2] % P
    h, r = (u2 - u1) % P, (s2 - s1) % P
    if h == 0:
        return _double(p) if r == 0 else (0, 1, 0)
    hh = h * h % P
    hhh = h * hh % P
    v = u1 * hh % P
    x3 = (r * r - hhh - 2 * v) % P
    return x3, (r * (v - x3) - s1 * hhh) % P, h * p[2] * q[2] % P


def _multiply(k: int, p: _Point) -> _Point:
    result: _Point = (0, 1, 0)
    for bit in bin(k)[2:]:
        result = _double(result)
        if bit == "1":
            result = _add(result, p)
    return result
