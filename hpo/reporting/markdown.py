"""Markdown output: a report as one text, which shows PNG files from the same folder."""

from __future__ import annotations

from hpo.gate import as_markdown
from hpo.reporting.document import Headline, Report, ReportTable, Section, with_bounds


def render_markdown(report: Report) -> str:
    """Return the whole Markdown file."""
    parts = [
        f"# Study {as_markdown(report.study)}",
        as_markdown(report.facts),
        *_headline(report.headline),
    ]
    for section in report.sections:
        parts += _section(section)
    return "\n\n".join(parts) + "\n"


def _headline(head: Headline) -> list[str]:
    gains = ReportTable(
        ("gain over", f"its {head.objective}", "gain (95% interval)"),
        [(g.over, f"{g.their_value:.4f}", with_bounds(g.interval, "+")) for g in head.gains],
    )
    value = with_bounds(head.value) if head.value else f"{head.score:.4f}"
    return [
        f"**Best: trial {head.trial}, {head.objective} {value} on validation**",
        _as_table(head.config),
        *([_as_table(gains)] if head.gains else []),
        as_markdown(" ".join(head.conclusion)),
    ]


def _section(section: Section) -> list[str]:
    parts = [f"## {as_markdown(section.title)}", *map(as_markdown, section.text)]
    if picture := section.picture:
        parts.append(f"![{as_markdown(picture.alt)}]({picture.name}.png)")
    if section.table:
        parts.append(_as_table(section.table))
    return parts


def _as_table(table: ReportTable) -> str:
    rules = ["---", *["---:"] * (len(table.heads) - 1)]
    lines = [table.heads, rules, *table.rows]
    return "\n".join("| " + " | ".join(as_markdown(cell) for cell in line) + " |" for line in lines)
