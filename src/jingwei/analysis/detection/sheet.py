"""The evidence sheet: one self-contained HTML page a finding, nothing loaded from anywhere."""

from __future__ import annotations

from html import escape
from typing import Any

from jingwei.analysis.detection import labels
from jingwei.analysis.detection.finding import Finding, Words
from jingwei.analysis.detection.rules import NAMES
from jingwei.analysis.detection.texts import DETECTORS

WIDTH, HEIGHT, LEFT, BOTTOM = 860, 260, 56, 28
STYLE = """
body{font:15px/1.6 "Noto Sans CJK SC","Microsoft YaHei","PingFang SC",sans-serif;color:#1c2b33;
max-width:900px;margin:24px auto;padding:0 16px}h1{font-size:22px;line-height:1.4;margin:0 0 4px}
h2{font-size:16px;margin:28px 0 6px;border-bottom:1px solid #d7dfe3}table{border-collapse:collapse;
width:100%}td,th{border-bottom:1px solid #e4eaed;padding:4px 8px;text-align:left;vertical-align:top}
td.n{font-variant-numeric:tabular-nums}.en{color:#5b6b74;font-size:13px}code{word-break:break-all;
font-size:12px}.tag{display:inline-block;border:1px solid #8aa0ab;border-radius:3px;padding:0 6px;
margin-right:6px;font-size:13px}svg{width:100%;height:auto}@media print{body{margin:0}}
"""


def page(finding: Finding) -> str:
    """The sheet of a finding as HTML text."""
    key = finding.detector
    name = NAMES[key] if key in NAMES else DETECTORS[key].name
    evidence = finding.evidence
    rows = "".join(
        f'<tr><th>{_both(k.zh, k.en)}</th><td class="n">{escape(text)}</td></tr>'
        for k, text in labels.numbers(evidence.numbers)
    )
    innocent = "".join(
        f"<tr><td>{_both(a.zh, a.en)}</td><td>{_both(b.zh, b.en)}</td></tr>"
        for a, b in finding.innocent_explanations
    )
    share = ""
    if finding.hidden_share is not None:
        s = finding.hidden_share
        share = (
            "<h2>估计少报比例 Estimated hidden share</h2>"
            f"<p>{s.estimate:.0%}（按正常波动 as honest hours scatter: "
            f"{s.low:.0%} … {s.high:.0%}）</p>"
        )
    rare = labels.rare(
        finding.tier, evidence.numbers.get("p"), finding.score, evidence.parameters.get("months")
    )
    also = (
        f"<p>同时触发 Raised also by: {escape(', '.join(finding.also))}</p>" if finding.also else ""
    )
    return f"""<!doctype html>
<html lang="zh"><head><meta charset="utf-8"><title>{escape(name.zh)} {escape(finding.factor)}</title>
<style>{STYLE}</style></head><body>
<p><span class="tag">{_line(labels.TIERS[finding.tier])}</span><span class="tag">{_line(labels.GRADES[finding.grade])}</span>
<span class="tag">{escape(name.zh)} {escape(name.en)}</span></p>
<h1>{escape(finding.sentence.zh)}</h1><p class="en">{escape(finding.sentence.en)}</p>
<p>{_both(labels.NO_ACCUSATION.zh, labels.NO_ACCUSATION.en)}</p>
{chart(finding)}
<h2>有多罕见 How rare</h2>
<p>{_both(rare.zh, rare.en)}</p>{also}
{share}
<h2>数字 Numbers</h2><table>{rows}</table>
<h2>可能的正常原因与核实办法 Innocent explanations and their checks</h2>
<table>{innocent}</table>
<h2>下一步 Next check</h2><p>{_both(finding.next_check.zh, finding.next_check.en)}</p>
<h2>可复算 To recompute</h2>
<table><tr><th>formula</th><td>{escape(evidence.formula)}</td></tr>
<tr><th>parameters</th><td>{escape(_show(evidence.parameters))}</td></tr>
<tr><th>rows</th><td>{evidence.rows[0]} – {evidence.rows[1]}</td></tr>
<tr><th>SHA-256</th><td><code>{evidence.sha256}</code></td></tr></table>
</body></html>
"""


def _line(words: Words) -> str:
    return escape(f"{words.zh} {words.en}")


def _both(zh: str, en: str) -> str:
    return f'{escape(zh)}<br><span class="en">{escape(en)}</span>'


def _show(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dict):
        return "; ".join(f"{k} = {_show(v)}" for k, v in value.items())
    if isinstance(value, list | tuple):
        return " … ".join(_show(v) for v in value)
    return str(value)


def chart(finding: Finding) -> str:
    """Reports, expectation and normal band as inline SVG, the suspicious stretch shaded."""
    evidence = finding.evidence
    reported = evidence.series.get(finding.factor) or next(iter(evidence.series.values()))
    n = len(reported)
    everything = [v for s in evidence.series.values() for v in s if v is not None]
    if n < 2 or not everything:
        return ""
    low, high = min(everything), max(everything)
    if high <= low:
        high = low + 1.0
    span = finding.end - finding.start

    def x(i: float) -> float:
        return LEFT + (WIDTH - LEFT - 8) * i / (n - 1)

    def y(v: float) -> float:
        return 8 + (HEIGHT - BOTTOM - 8) * (high - v) / (high - low)

    def line(values: list[float | None], colour: str, width: float) -> str:
        parts, pen = [], "M"
        for i, v in enumerate(values):
            if v is None:
                pen = "M"
                continue
            parts.append(f"{pen}{x(i):.1f} {y(v):.1f}")
            pen = "L"
        return f'<path d="{" ".join(parts)}" fill="none" stroke="{colour}" stroke-width="{width}"/>'

    body = []
    step = float(evidence.parameters.get("step_seconds", 0.0))
    if step > 0:
        a = max(0.0, (finding.start - evidence.series_start).total_seconds() / step)
        b = min(n - 1.0, a + span.total_seconds() / step)
        body.append(
            f'<rect x="{x(a):.1f}" y="8" width="{max(x(b) - x(a), 2):.1f}" '
            f'height="{HEIGHT - BOTTOM - 8}" fill="#f4c542" fill-opacity=".35"/>'
        )
    if "low" in evidence.series:
        body.append(line(evidence.series["low"], "#9db8c7", 1))
        body.append(line(evidence.series["high"], "#9db8c7", 1))
        body.append(line(evidence.series["expected"], "#2b7a9b", 1.2))
    body.append(line(reported, "#1c2b33", 1.4))
    for v in (low, (low + high) / 2, high):
        body.append(
            f'<text x="{LEFT - 6}" y="{y(v) + 4:.1f}" text-anchor="end" font-size="11">{v:.4g}</text>'
        )
    first = evidence.series_start
    body.append(f'<text x="{LEFT}" y="{HEIGHT - 8}" font-size="11">{first:%Y-%m-%d %H:%M}</text>')
    label = escape(f"{finding.factor}: reported (dark), expected (blue), normal band (light)")
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">'
        f'{"".join(body)}</svg><p class="en">黑：上报；蓝：按工况应有；浅蓝：正常范围；黄：可疑时段。 {label}</p>'
    )
