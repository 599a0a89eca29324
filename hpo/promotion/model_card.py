"""The model card: the Markdown description of a registered version."""

from __future__ import annotations

import re
from collections.abc import Iterable

from hpo.config import Locations, command
from hpo.gate import GateFindings, Row, tables as lines
from hpo.registry import Recipe
from recsys.data import Split
from recsys.messages import count

LIMITS = (
    "Users that are not in the data get what is popular. The figures hold for this data and this "
)
WITHIN = "split: within a user nothing leaks, other users' later rows are visible to it."
ASKING = (
    "As an MLflow model it takes a column `user_id`, never null, and if you like `history`, a JSON "
    "list of item ids as text, oldest first; a row with a history is answered from it, and its "
    "`user_id` only names the answer. The answer has columns `user_id`, `rank`, `item_id`, `score` "
    "and `source`, which is `model` or `popular`; param `k` says how many items."
)
LEAKS = {
    "temporal": WITHIN,
    "leave-one-out": WITHIN,
    "global-time": "split: nothing in it is younger than what it is asked for.",
    "random": "split: rows are held out at random, so it may know a user's later rows; where there "
    "are times, that flatters.",
    "given": "split, which was given with the data; whether it leaks is up to who made it.",
}


def model_card(
    recipe: Recipe, split: Split, found: GateFindings, git_commit: str, locations: Locations
) -> str:
    """Return the card of one measured model as Markdown.

    Args:
        recipe: the model's config, number of epochs and origin.
        split: the split of the data.
        found: findings of the gate.
        git_commit: commit of the code that trained the model.
        locations: addresses of the study and of MLflow, for the command that the card names.
    """
    source, teachers = recipe.source, recipe.source.promotion.teachers
    made_by = (
        command("retrain", "", locations)
        if found.drift
        else command("promote", source.study, locations, more={"--teachers": str(teachers)})
    )
    return "\n\n".join([
        f"# Two-tower recommender, trial {source.trial} of study {_as_code(source.study)}",
        _purpose(recipe, split),
        ASKING,
        "## Test figures, this model's only measurement",
        _markdown_table(lines.TEST, lines.metric_rows(found)),
        _protocol(recipe, split),
        "## Gate",
        _verdict(found),
        _markdown_table(lines.GATE, lines.gate_rows(found)),
        *_shown("answers of", lines.list_rows(found.lists)),
        *(f"{line[0].upper()}{line[1:]}." for line in lines.looks_lines(found)),
        *map(lines.as_markdown, found.notes),
        *_occasion(found),
        "## Data",
        _source(recipe, split),
        "## Config",
        ", ".join(f"{name} {value}" for name, value in recipe.config.as_dict().items()),
        "## Where it comes from",
        f"Study uid `{source.study_uid}`, code {git_commit}, {_as_code(made_by)}.",
        "## Limits",
        LIMITS + LEAKS[split.method],
    ])  # fmt: skip


def _as_code(text: str) -> str:
    """Return the text as Markdown code, fenced by more backticks than any run inside it.

    A blank line would end the code, so the text stands on one line.
    """
    text = lines.one_line(text)
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    pad = " " if "`" in text else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def _verdict(found: GateFindings) -> str:
    outcome = "Passed" if found.reason is None else f"Refused: {lines.as_markdown(found.reason)}"
    cost = "; ".join([lines.cost_line(found), *lines.index_lines(found)])
    return f"{outcome}. By {found.objective}, paired over the same test users. {cost}."


def _occasion(found: GateFindings) -> list[str]:
    """Return the section on the race that the config has won, or on the drift of the data."""
    if found.race:
        rows = _markdown_table(lines.RACE, lines.race_rows(found.race))
        lists = _shown("lists of trial", lines.race_lists(found.race))
        return ["## Race on validation", rows, f"{lines.luck_line(found.race)}.", *lists]
    return ["## New data", *(f"{line}." for line in found.drift.lines)] if found.drift else []


def _shown(who: str, rows: list[Row]) -> list[str]:
    """Return the table of what users are shown; nothing without rows."""
    return [_markdown_table((who, *lines.LISTS), rows)] if rows else []


def _purpose(recipe: Recipe, split: Split) -> str:
    masked = (
        "Items in a user's history are left out."
        if split.interactions.repeats == "drop"
        else "Items in a user's history are offered again: people come back to them."
    )
    near = (
        ", and what the neighbours of the user's items add (`recsys.models.neighbours`)"
        if recipe.config.neighbour_weight
        else ""
    )
    return (
        "Answers which items a known user takes next; score = user vector · item vector + item "
        f"bias{near}. {masked}"
    )


def _protocol(recipe: Recipe, split: Split) -> str:
    n_seen, n_test = len(split.final.seen), len(split.test)
    teachers = recipe.source.promotion.teachers
    taught = f" and on the predictions of {count(teachers, 'teacher')}" if teachers else ""
    return (
        f"Trained for {count(recipe.epochs, 'epoch')} on train + validation "
        f"({count(n_seen, 'row')}){taught}, "
        f"then asked once for the {count(n_test, 'test row')}: full ranking over "
        f"{count(split.interactions.n_items, 'item')}. `measured.safetensors` is the history "
        "behind these figures; serving uses the whole one, `history.safetensors`."
    )


def _source(recipe: Recipe, split: Split) -> str:
    data = split.interactions
    return (
        f"{lines.as_markdown(recipe.source.data_name)}: {count(data.n_users, 'user')}, "
        f"{count(data.n_items, 'item')}, "
        f"{count(len(data), 'row')}, fingerprint `{data.fingerprint}`. Split: {split.method}, "
        f"fraction {split.fraction:g}, seed {split.seed}, fingerprint `{split.fingerprint}`."
    )


def _markdown_table(heading: Row, rows: Iterable[Row]) -> str:
    head, *others = ([lines.as_markdown(cell) for cell in row] for row in (heading, *rows))
    cells = [head, ["---"] * len(head), *others]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)
