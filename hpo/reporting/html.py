"""A Report as one HTML file that needs nothing else: no network, no scripts, images inside."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from html import escape

from hpo.reporting.document import Gain, Headline, Report, ReportTable, Section, with_bounds
from hpo.reporting.figures.style import BLUE, GREY, RED

BAR_WIDTH, BAR_HEIGHT = 170, 22  # px

CSS = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0; background: #f4f6f8; color: #25303b;
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 20px 20px 48px; }
h1 { font-size: 24px; line-height: 1.25; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 18px; margin: 0 0 8px; }
h3 { font-size: 14px; margin: 0 0 6px; color: #56616c; font-weight: 600; }
p { margin: 0 0 8px; max-width: 105ch; }
p:last-child { margin-bottom: 0; }
.facts { color: #56616c; margin: 2px 0 14px; max-width: none; }
section { background: #fff; border: 1px solid #e1e5e9; border-radius: 8px; padding: 16px 20px;
  margin: 0 0 16px; break-inside: avoid; }
.first { display: grid; gap: 8px 40px;
  grid-template-columns: minmax(300px, 3fr) minmax(0, 8fr); }
.first > * { min-width: 0; }
.first > .wide { grid-column: 1 / -1; border-top: 1px solid #e1e5e9; padding-top: 10px; }
.value { font-size: 44px; font-weight: 650; line-height: 1.1; }
.bounds { color: #56616c; margin-bottom: 12px; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 14px;
  font-variant-numeric: tabular-nums; }
th, td { padding: 5px 0 5px 14px; text-align: right; border-bottom: 1px solid #edf0f2;
  white-space: nowrap; }
th { color: #56616c; font-weight: 600; font-size: 13px; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
tr:last-child td { border-bottom: 0; }
tr.strong td { font-weight: 650; }
td svg { display: block; margin-left: auto; }
.facts-table td { text-align: left; white-space: normal; overflow-wrap: anywhere; }
.facts-table td:first-child { color: #56616c; white-space: nowrap; width: 1%; }
img { display: block; width: 100%; height: auto; margin: 4px 0 10px; }
nav { margin: 0 0 14px; font-size: 14px; }
nav a { color: #00568a; margin-right: 14px; white-space: nowrap; }
@media (max-width: 1050px) { .first { grid-template-columns: 1fr; } }
@media (max-width: 560px) {
  .gains th, .gains td { white-space: normal; }
  .gains th:last-child, .gains td:last-child { display: none; }
}
@media print {
  body { background: #fff; font-size: 12px; }
  main { padding: 0; max-width: none; }
  section { border: 0; padding: 8px 0; }
  nav { display: none; }
}
"""


def render_html(report: Report, images: Mapping[str, bytes]) -> str:
    """The whole page.

    Args:
        images: picture name -> PNG.
    """
    links = " ".join(f'<a href="#{s.key}">{escape(s.title)}</a>' for s in report.sections)
    sections = "\n".join(_section(section, images) for section in report.sections)
    title = escape(f"Study {report.study}")
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{CSS}</style>
</head>
<body>
<main>
<h1>{title}</h1>
<p class="facts">{escape(report.facts)}</p>
{_headline(report.headline)}
<nav aria-label="sections">{links}</nav>
{sections}
</main>
</body>
</html>
"""


def _headline(head: Headline) -> str:
    verdict = "".join(f"<p>{escape(sentence)}</p>" for sentence in head.verdict)
    return f"""<section class="first" id="best">
<div>
<h3>Best: trial {head.trial}</h3>
<div class="value">{head.value.mean:.4f}</div>
<div class="bounds">{head.objective} on validation<br>
95% interval {head.value.low:.4f} to {head.value.high:.4f}</div>
{_table(head.config)}
</div>
<div>
<h3>Gain of the best trial</h3>
{_gains(head)}
</div>
<div class="wide">{verdict}</div>
</section>"""


def _gains(head: Headline) -> str:
    bounds = [bound for gain in head.gains for bound in (gain.interval.low, gain.interval.high)]
    low, high = min([0.0, *bounds]), max([0.0, *bounds])
    rows = "".join(
        f"<tr><td>{escape(gain.over)}</td><td>{gain.their_value:.4f}</td>"
        f"<td>{with_bounds(gain.interval, '+')}</td><td>{_bar(gain, low, high)}</td></tr>"
        for gain in head.gains
    )
    return (
        '<div class="scroll"><table class="gains"><thead><tr><th>over</th>'
        f"<th>its {head.objective}</th>"
        f"<th>gain (95% interval)</th><th></th></tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _bar(gain: Gain, low: float, high: float) -> str:
    """The interval as a bar on the scale that all rows share; a tick marks zero."""

    def at(value: float) -> float:
        return 6 + (BAR_WIDTH - 12) * (value - low) / ((high - low) or 1)

    interval, middle = gain.interval, BAR_HEIGHT / 2
    colour = GREY if not gain.is_clear else BLUE if interval.mean > 0 else RED
    start, width = at(interval.low), max(2.0, at(interval.high) - at(interval.low))
    label = escape(f"gain over {gain.over}: {with_bounds(interval, '+')}", quote=True)
    return (
        f'<svg width="{BAR_WIDTH}" height="{BAR_HEIGHT}" role="img" aria-label="{label}">'
        f'<line x1="{at(0):.1f}" x2="{at(0):.1f}" y1="1" y2="{BAR_HEIGHT - 1}" stroke="#25303b"/>'
        f'<rect x="{start:.1f}" y="{middle - 4}" width="{width:.1f}" height="8" rx="3" '
        f'fill="{colour}" opacity="0.45"/>'
        f'<circle cx="{at(interval.mean):.1f}" cy="{middle}" r="4.5" fill="{colour}"/></svg>'
    )


def _section(section: Section, images: Mapping[str, bytes]) -> str:
    parts = [f'<section id="{section.key}">', f"<h2>{escape(section.title)}</h2>"]
    parts += [f"<p>{escape(sentence)}</p>" for sentence in section.text]
    if picture := section.picture:
        data = base64.b64encode(images[picture.name]).decode()
        alt = escape(picture.alt, quote=True)
        parts.append(f'<img src="data:image/png;base64,{data}" alt="{alt}">')
    if section.table:
        parts.append(_table(section.table))
    return "\n".join([*parts, "</section>"])


def _table(table: ReportTable) -> str:
    named = any(table.heads)
    heads = "".join(f"<th>{escape(head)}</th>" for head in table.heads)
    rows = ""
    for number, row in enumerate(table.rows):
        cells = "".join(f"<td>{escape(cell)}</td>" for cell in row)
        rows += (
            f'<tr class="strong">{cells}</tr>' if number in table.strong else f"<tr>{cells}</tr>"
        )
    head = f"<thead><tr>{heads}</tr></thead>" if named else ""
    kind = "" if named else ' class="facts-table"'
    return f'<div class="scroll"><table{kind}>{head}<tbody>{rows}</tbody></table></div>'
