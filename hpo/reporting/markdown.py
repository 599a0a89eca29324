"""Markdown output: a report as one text, which shows PNG files from the same folder."""

from __future__ import annotations

from hpo.reporting.document import Headline, Report, ReportTable, Section, with_bounds


def render_markdown(report: Report) -> str:
    """Return the whole Markdown file."""
    parts = [f"# Study {_text(report.study)}", _text(report.facts), *_headline(report.headline)]
    for section in report.sections:
        parts += _section(section)
    return "\n\n".join(parts) + "\n"


def _headline(head: Headline) -> list[str]:
    gains = ReportTable(
        ("gain over", f"its {head.objective}", "gain (95% interval)"),
        [(g.over, f"{g.their_value:.4f}", with_bounds(g.interval, "+")) for g in head.gains],
    )
    return [
        f"**Best: trial {head.trial}, {head.objective} {with_bounds(head.value)} on validation**",
        _table(head.config),
        _table(gains),
        _text(" ".join(head.verdict)),
    ]


def _section(section: Section) -> list[str]:
    parts = [f"## {_text(section.title)}", *map(_text, section.text)]
    if picture := section.picture:
        parts.append(f"![{_text(picture.alt)}]({picture.name}.png)")
    if section.table:
        parts.append(_table(section.table))
    return parts


def _table(table: ReportTable) -> str:
    rules = ["---", *["---:"] * (len(table.heads) - 1)]
    lines = [table.heads, rules, *table.rows]
    return "\n".join("| " + " | ".join(_text(cell) for cell in line) + " |" for line in lines)


def _text(text: str) -> str:
    """Escape Markdown in a text: names of studies and files may contain any character."""
    for mark in ("\\", "|", "<", "[", "]", "`", "*"):
        text = text.replace(mark, f"\\{mark}")
    return text
