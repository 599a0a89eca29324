"""What a registered version says about itself: Markdown, for its description."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hpo.candidate import Candidate
from recsys.split import Split

LIMITS = (
    "Users that are not in the data get what is popular. The figures hold for this data and this "
    "split; within a user nothing leaks, other users' later rows are visible to it."
)


def model_card(
    candidate: Candidate,
    split: Split,
    test: Mapping[str, float],
    popularity: Mapping[str, float],
    git_commit: str,
) -> str:
    """The card of one promoted model."""
    figures = [(name, f"{value:.6f}", f"{popularity[name]:.6f}") for name, value in test.items()]
    config = [(name, str(value)) for name, value in candidate.config.as_dict().items()]
    command = f"`python -m hpo.promote --study-name {candidate.study}`"
    return "\n\n".join([
        f"# Two-tower recommender, trial {candidate.trial} of study `{candidate.study}`",
        _purpose(split),
        "## Test figures, measured once",
        _table(("metric", "this model", "popularity"), figures),
        _protocol(candidate, split),
        "## Data",
        _source(candidate, split),
        "## Config",
        _table(("hyperparameter", "value"), config),
        "## Where it comes from",
        f"Study uid `{candidate.record.uid}`, code {git_commit}, {command}.",
        "## Limits",
        LIMITS,
    ])  # fmt: skip


def _purpose(split: Split) -> str:
    masked = (
        "Items in a user's history are left out."
        if split.interactions.repeats == "drop"
        else "Items in a user's history are offered again: people come back to them."
    )
    return (
        "Answers which items a known user takes next; score = user vector · item vector + item "
        f"bias. {masked}"
    )


def _protocol(candidate: Candidate, split: Split) -> str:
    n_seen, n_test = len(split.final.seen), len(split.test)
    return (
        f"Trained for {candidate.epochs} epochs on train + validation ({n_seen:,} rows), then "
        f"asked once for the {n_test:,} test rows: full ranking over "
        f"{split.interactions.n_items:,} items. `measured.safetensors` is the history behind "
        "these figures; serving uses the whole one, `history.safetensors`."
    )


def _source(candidate: Candidate, split: Split) -> str:
    data = split.interactions
    return (
        f"{candidate.record.data_name}: {data.n_users:,} users, {data.n_items:,} items, "
        f"{len(data):,} rows, fingerprint `{data.fingerprint}`. Split: {split.method}, fraction "
        f"{split.fraction:g}, seed {split.seed}, fingerprint `{split.fingerprint}`."
    )


def _table(heading: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [heading, ("---",) * len(heading), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
