"""`jingwei evidence verify` and the single-file verifier `verify.pyz`: say what a bundle proves.

    python3 verify.pyz BUNDLE [--policy FILE] [--tsa FILE]

Needs Python 3.11 and the package cryptography (time stamps: rfc3161-client as well). Without a
policy of your own, the keys in the bundle are believed: compare them with the published ones. Time stamps
are checked with the authority's certificates that you bring (`--tsa`, PEM) alone.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from pathlib import Path

from jingwei.evidence import bundle, policy
from jingwei.evidence.bundle import BundleError, Report
from jingwei.evidence.policy import Policy, PolicyError


def run(path: Path, policy_file: Path | None = None, tsa_file: Path | None = None) -> Report:
    """Verify the bundle at `path`; raises `BundleError` or `PolicyError`."""
    trusted: Policy | None = None
    if policy_file:
        trusted = policy.parse(_bytes(policy_file))
    return bundle.verify(
        bundle.open_files(path), trusted, authority=_bytes(tsa_file) if tsa_file else None
    )


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(policy.MAX_POLICY + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise PolicyError(f"cannot read {path}: {reason}") from None


def plain(text: str) -> str:
    """One line, whatever a bundle has in its texts: what is not printable is escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def describe(report: Report, *, own_policy: bool) -> list[str]:
    """What is proved and what is not, line by line, in English and Chinese."""
    lines = [f"{report.case}  {report.origin}  {report.made}"]
    for item in report.items:
        sign = "proved     已证实" if item.proved else "NOT PROVED 未证实"
        lines.append(f"{sign}  {item.what}{'  ' + item.note if item.note else ''}")
        if item.why:
            lines.append(f"                   {item.why}")
    lines += [f"absent     未提供  {what}: {why}" for what, why in report.absent]
    lines += [f"unchecked  未检查  {text}" for text in report.unchecked]
    for name, moment in report.witnesses.items():
        lines.append(f"witness    见证方  {name} {moment.isoformat()}")
    lines.append(f"quorum     门限    {report.policy.describe()}")
    lines += [f"log key    日志公钥  {party.key}" for party in report.policy.logs]
    if not own_policy:
        lines.append(
            "These keys come from the bundle itself: compare them with the published ones."
            " 以上公钥取自证据包本身，请与公布的公钥核对。"
        )
    count = sum(item.proved for item in report.items)
    end = "ALL PROVED 全部证实" if report.proved else "NOT ALL IS PROVED 未全部证实"
    return [plain(line) for line in (*lines, f"{end}: {count} / {len(report.items)}")]


def main(arguments: Sequence[str]) -> int:
    """0 all is proved, 1 not all is, 2 wrong usage."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # not every terminal can show Chinese
            stream.reconfigure(errors="backslashreplace")
    match list(arguments):
        case [path]:
            own = tsa = None
        case [path, "--policy", own]:
            tsa = None
        case [path, "--tsa", tsa]:
            own = None
        case [path, "--policy", own, "--tsa", tsa] | [path, "--tsa", tsa, "--policy", own]:
            pass
        case _:
            sys.stderr.write("usage: python3 verify.pyz BUNDLE [--policy FILE] [--tsa FILE]\n")
            return 2
    try:
        report = run(Path(path), Path(own) if own else None, Path(tsa) if tsa else None)
    except (BundleError, PolicyError) as error:
        sys.stderr.write(f"NOT VALID 无效: {plain(str(error))}\n")
        return 1
    sys.stdout.write("\n".join(describe(report, own_policy=own is not None)) + "\n")
    return 0 if report.proved else 1
