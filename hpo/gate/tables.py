"""Findings of the gate as rows of text, for the terminal and the model card."""

from __future__ import annotations

import re
from collections.abc import Mapping

from hpo.gate.findings import GateFindings
from hpo.gate.race import Race
from hpo.gate.rules import Comparison
from recsys.evaluation import EXPOSURES, Interval

RACE = ("trial", "in the study", "fresh seeds, mean", "winner's lead, 95% interval")
GATE = ("rival", "users", "this model", "rival's", "gain, 95% interval", "must lie above")
GATE_SHORT = ("rival", "users", "ours", "theirs", "gain, 95% interval", "to beat")
TO_BEAT = "to beat: the number that the whole interval must lie above; -: reported only"
TEST = ("metric", "test", "95% interval")
LISTS = ("top", "recall", "ndcg", "coverage", "novelty", "Gini")
COVERED = "coverage_at_"
LINE_BREAK = re.compile(r"\s*[\r\n]\s*")
LINE_MARKS = ("#", ">", "~")  # at the beginning of a line: heading, quotation, code

Row = tuple[str, ...]


def race_rows(race: Race) -> list[Row]:
    """Return one row per racer in the study's order, with the columns RACE."""
    return [
        (
            str(racer.trial),
            f"{racer.study_value:.4f}",
            f"{racer.mean:.4f}" if racer.values else "diverged",
            "winner" if racer.trial == race.winner else racer.broken or _gain(racer.behind),
        )
        for racer in race.racers
    ]


def list_rows(figures: Mapping[str, Mapping[str, float]]) -> list[Row]:
    """Return a row for each length of lists, for everyone who was measured.

    The columns are who, then LISTS. Novelty is in bits, see `recsys.evaluation.exposure`.

    Args:
        figures: all metrics by who answers; who has none of exposure is left out.
    """
    rows: list[Row] = []
    for who, metrics in figures.items():
        lengths = [int(name.removeprefix(COVERED)) for name in metrics if name.startswith(COVERED)]
        for k in lengths:
            recall, ndcg, coverage, novelty, gini = (
                metrics[f"{family}_at_{k}"] for family in ("recall", "ndcg", *EXPOSURES)
            )
            cells = (f"{k}", f"{recall:.4f}", f"{ndcg:.4f}", f"{coverage:.1%}", f"{novelty:.2f}")
            rows.append((who, *cells, f"{gini:.3f}"))
    return rows


def race_lists(race: Race) -> list[Row]:
    """Return the rows of `list_rows` on the racers, as means over the fresh seeds."""
    return list_rows({str(racer.trial): racer.metrics for racer in race.racers})


def luck_line(race: Race) -> str:
    """Return a line that says how much of the best trial's lead was luck, and which trial won."""
    best, n_seeds = race.racers[0], len(race.won.values)
    seeds = f"{n_seeds} fresh seed{'s' if n_seeds > 1 else ''}"
    if len(race.racers) == 1:
        return (
            f"trial {best.trial}, the only candidate, had {best.study_value:.4f} in the study and "
            f"has {best.mean:.4f} with {seeds}"
        )
    if race.luck is None:
        told = f"the best trial, {best.trial}, diverged with one of {seeds}"
    else:
        luck = f"{race.luck:.4f}" if race.luck > 0 else "none"
        told = (
            f"the best trial, {best.trial}, had {best.study_value:.4f} in the study and has "
            f"{best.mean:.4f} with {seeds}: {luck} of its lead was luck"
        )
    return f"{told}; the winner is trial {race.winner}"


def cost_line(found: GateFindings) -> str:
    """Return a line with the size of the model's files and the time of an answer."""
    return f"{found.model_mb:.3g} MB of files, {found.latency_ms:.3g} ms an answer (median)"


def index_lines(found: GateFindings) -> list[str]:
    """Return a line about the index that hpo.serve uses; none if its answers are exact."""
    return [f"answers over HTTP come from {found.index}"] if found.index else []


def looks_lines(found: GateFindings) -> list[str]:
    """Return a sentence on earlier measurements on the test rows; none if they were not counted."""
    n = found.measured_before
    if n is None:
        return []
    if n == 0:
        return ["no version in the registry was measured on these test rows before"]
    versions = "1 version in the registry was" if n == 1 else f"{n:,} versions in the registry were"
    return [f"{versions} measured on these test rows before; the intervals do not account for that"]


def metric_rows(found: GateFindings) -> list[Row]:
    """Return one row per metric, with the columns TEST."""
    return [
        (name, f"{value.mean:.6f}", f"{value.low:.4f} to {value.high:.4f}")
        for name, value in found.test.items()
    ]


def gate_rows(found: GateFindings) -> list[Row]:
    """Return one row per rival, with the columns GATE."""
    return [_row(comparison) for comparison in found.comparisons]


def gate_table(found: GateFindings) -> list[str]:
    """Return the comparisons as lines for a terminal of 80 columns.

    The lines fit even with 50,000 users and version 100.
    """
    rows: list[Row] = []
    for one, (name, users, ours, theirs, *_) in zip(
        found.comparisons, gate_rows(found), strict=True
    ):
        verdict = "no" if one.problem else "yes"
        need = "-" if one.need is None else f"{one.need:g} {verdict}"
        short = name.replace("(version ", "(v")
        rows.append((short, users, ours, theirs, _gain(one.gain, ".."), need))
    return [*padded_table(GATE_SHORT, rows), *([TO_BEAT] if rows else [])]


def as_markdown(text: str) -> str:
    """Return a text in which Markdown finds no mark, on one line.

    Names of studies, data and files may contain any character, and some come from other people.
    """
    text = one_line(text)
    for mark in ("\\", "|", "<", "[", "]", "`", "*"):
        text = text.replace(mark, f"\\{mark}")
    return f"\\{text}" if text[:1] in LINE_MARKS else text


def one_line(text: str) -> str:
    """Return a text with each line break, and the blanks around it, as one blank."""
    return LINE_BREAK.sub(" ", text).strip() if LINE_BREAK.search(text) else text


def padded_table(heading: Row, rows: list[Row]) -> list[str]:
    """Return heading and rows as lines with padded columns, without trailing spaces.

    Args:
        heading: title of each column.
        rows: as many cells as the heading in each row.
    """
    widths = [max(len(row[i]) for row in (heading, *rows)) for i in range(len(heading))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (heading, *rows)
    ]


def _row(one: Comparison) -> Row:
    need = "not a gate" if one.need is None else f"{one.need:+.4f}"
    if one.need is not None:
        need += ": no" if one.problem else ": yes"
    return (
        one.name,
        f"{one.n_users:,}",
        f"{one.ours:.4f}",
        f"{one.theirs:.4f}",
        _gain(one.gain),
        need,
    )


def _gain(gain: Interval | None, mark: str = " to ") -> str:
    return "-" if gain is None else f"{gain.mean:+.4f} ({gain.low:+.4f}{mark}{gain.high:+.4f})"
