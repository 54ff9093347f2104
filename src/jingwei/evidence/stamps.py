"""Trusted time stamps over checkpoints (RFC 3161), through the optional package rfc3161-client.

A stamp is made over the text of a checkpoint, the part that is signed. Switched on by two files
in the log's folder: `tsa` (the authority's address, one line) and `tsa.pem` (the root certificates
that are trusted for it, and intermediates where answers do not bring them along).
"""

from __future__ import annotations

import importlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from jingwei.evidence import web

TSA, ROOTS = "tsa", "tsa.pem"
MAX_STAMP = 65_536
_TIMEOUT = 10.0


class StampError(ValueError):
    """A time stamp that could not be had, or does not hold; the text says why."""


class NotInstalledError(StampError):
    """The package rfc3161-client is missing."""


def _client() -> Any:
    try:
        return importlib.import_module("rfc3161_client")
    except ImportError:
        raise NotInstalledError(
            "time stamps need the package rfc3161-client: pip install rfc3161-client"
        ) from None


def fetch(url: str, message: bytes, roots: bytes) -> bytes:
    """Have `message` stamped by the authority at `url`; the verified answer, DER."""
    client = _client()
    wanted = client.TimestampRequestBuilder().data(message).build()
    if not url.startswith(("http://", "https://")):
        raise StampError(f"{url[:200]!r} is no address of a time stamp authority")
    try:
        status, answer = web.ask(
            "POST",
            url,
            limit=MAX_STAMP,
            timeout=_TIMEOUT,
            body=wanted.as_bytes(),
            headers={"Content-Type": "application/timestamp-query"},
        )
    except web.WebError as error:
        raise StampError(f"the time stamp authority cannot be reached: {error}") from None
    if status // 100 != 2:
        raise StampError(f"the time stamp authority answers {status}")
    _verify(client, answer, message, roots, wanted.nonce)
    return answer


def verify(answer: bytes, message: bytes, roots: bytes) -> datetime:
    """When `message` was stamped (UTC); raises `StampError`.

    `roots` are PEM certificates: those that signed themselves are trusted, the others may stand
    between. The chain is checked as of the time of the stamp, so a stamp outlives its certificate.
    """
    return _verify(_client(), answer, message, roots, None)


def _verify(
    client: Any, answer: bytes, message: bytes, roots: bytes, nonce: int | None
) -> datetime:
    if len(answer) > MAX_STAMP:
        raise StampError(f"the time stamp is longer than {MAX_STAMP} bytes")
    trusted, others = _roots(roots)
    try:
        response = client.decode_timestamp_response(answer)
        builder = client.VerifierBuilder(intermediates=others, roots=trusted, nonce=nonce)
        builder.build().verify_message(response, message)
        moment: datetime = response.tst_info.gen_time
    except Exception as error:  # whatever the library makes of a stranger's bytes
        said = str(error).strip().splitlines() or [type(error).__name__]
        reason = said[0].partition(": ErrorStack")[0][:200]
        raise StampError(f"the time stamp does not hold: {reason}") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def fingerprints(roots: bytes) -> list[str]:
    """SHA-256 (hex) of the roots among PEM certificates; raises `StampError`."""
    return [c.fingerprint(hashes.SHA256()).hex() for c in _roots(roots)[0]]


def _roots(roots: bytes) -> tuple[list[x509.Certificate], list[x509.Certificate]]:
    """Certificates that signed themselves, and the others; raises `StampError`."""
    try:
        certificates = x509.load_pem_x509_certificates(roots)
    except ValueError:
        raise StampError("the authority's certificates are no PEM") from None
    trusted = [c for c in certificates if c.issuer == c.subject]
    if not trusted:
        raise StampError("there is no root among the authority's certificates")
    return trusted, [c for c in certificates if c.issuer != c.subject]


def configured(folder: Path) -> tuple[str, bytes] | None:
    """Address and certificates from the log's folder; None where stamps are not switched on."""
    if not (folder / TSA).exists():
        return None
    try:
        url = (folder / TSA).read_text().strip()
        return url, (folder / ROOTS).read_bytes()[:MAX_STAMP]
    except (OSError, UnicodeDecodeError) as error:
        raise StampError(f"cannot read {TSA} and {ROOTS} in {folder}: {error}") from None
