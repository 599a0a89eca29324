"""The report's first screen and its tables: figures of the storage and of the models, as text."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import median

import numpy as np

from hpo.config import SplitConfig
from hpo.gate import tables as gate_tables
from hpo.reporting.document import Gain, Headline, ReportTable, with_bounds
from hpo.reporting.model_comparison import BEST, DEFAULT, ComparedModel, ModelComparison
from hpo.study import StudyRecord, TrialRow, complete_best_first, default_trial, environment_facts
from recsys.evaluation import RESAMPLES, mean_interval
from recsys.messages import count

SHOWN_TRIALS = 10
NO_SCORER = (
    "has no method scorer(holdout, config, epochs), so this report leaves out the comparison with "
    "the baselines and the groups of users and items."
)
ON_TEST = ": its figures on test data come from python -m hpo.promote alone"
SHOWN_METRICS = ("recall_at_10", "recall_at_20", "ndcg_at_10", "mrr")


def headline(
    record: StudyRecord, best: TrialRow, default: TrialRow | None, compared: ModelComparison | None
) -> Headline:
    """Return the first screen: the best trial, its config, and its gain over every other model.

    Args:
        record: record of the study.
        best: the best trial.
        default: the COMPLETE trial of the default configuration; None: there is none.
        compared: the models on the validation split; None: the model offers no scorer.
    """
    objective, config = record.config.objective, _config(record, best, default)
    if compared is None:
        note = f"{record.config.trainable} {NO_SCORER}"
        return Headline(best.number, objective, best.score, None, config, [], [note])
    winner, *others = compared.found
    gains = [Gain(c.name, c.value.mean, winner.gain_over(c)) for c in others]
    return Headline(
        best.number,
        objective,
        best.score,
        winner.value,
        config,
        gains,
        [*_conclusion(best, gains), *_differences(record, compared.found)],
    )


def _config(record: StudyRecord, best: TrialRow, default: TrialRow | None) -> ReportTable:
    base = record.config.train_config.as_dict()
    rows = [(name, best.shown(name), f"{base[name]:.4g}") for name in record.config.space]
    rows.append(("best epoch", f"{best.best_epoch}", f"{default.best_epoch}" if default else ""))
    return ReportTable(("", "best", "default"), rows)


def _conclusion(best: TrialRow, gains: Sequence[Gain]) -> list[str]:
    said = []
    default = next((gain for gain in gains if gain.over == DEFAULT), None)
    if best.is_default:
        said.append("No trial did better than the default configuration.")
    elif default is None:
        said.append("The default configuration has no complete trial to compare with.")
    elif default.interval.low > 0:
        said.append("The best trial is clearly better than the default configuration.")
    elif default.interval.high < 0:
        said.append(
            "Trained again, the best trial is clearly worse than the default configuration."
        )
    else:
        said.append(
            "The gain over the default configuration is not clear: its interval contains zero."
        )
    behind = [gain for gain in gains if gain.over != DEFAULT and gain.interval.low <= 0]
    worse = [gain.over for gain in behind if gain.interval.high < 0]
    if unclear := [gain.over for gain in behind if gain.over not in worse]:
        said.append(f"Not clearly better than: {', '.join(unclear)}.")
    if worse:
        said.append(f"Clearly worse than: {', '.join(worse)}.")
    if not behind and any(gain.over != DEFAULT for gain in gains):
        said.append("It is clearly better than every baseline.")
    return said


def _differences(record: StudyRecord, found: Sequence[ComparedModel]) -> list[str]:
    """Return a note on values that the second training did not reproduce, with likely reasons."""
    differ = [
        f"{c.name} {c.value.mean:.6f}, not {c.stored:.6f}" for c in found if not c.is_as_stored
    ]
    if not differ:
        return []
    now = environment_facts()
    changed = [name for name in now if record.environment.get(name) != now[name]]
    why = f"since then changed: {', '.join(changed)}" if changed else "other hardware, perhaps"
    note = (
        f"Note: training again did not give the values that the study has ({'; '.join(differ)}); "
        f"{why}. Comparisons of models show the new values, figures of the search the stored ones."
    )
    return [note]


def how_measured(record: StudyRecord, compared: ModelComparison) -> str:
    """Return the paragraph on how the comparison was measured, and on its limits.

    Args:
        record: record of the study.
        compared: the compared models on the study's validation split.
    """
    on_test = "" if record.config.trainable else ON_TEST
    n_users = len(compared.winner.users.users)
    trained = [c for c in compared.found if c.stored is not None]
    within = max((c.tolerance for c in trained), default=0.0)
    what = (
        f"the stored values within {within:g}, as on GPUs"
        if within
        else "exactly the stored values"
    )
    same = f"which gave {what}" if all(c.is_as_stored for c in trained) else ""
    again = f"Trained again with their stored seeds{', ' + same if same else ''}."
    return (
        f"{again} Means over {count(n_users, 'user')} of the validation split, in brackets 95% "
        "bootstrap "
        f"intervals over users ({RESAMPLES:,} resamples); gains are paired differences. The best "
        f"trial was chosen on these very users, which flatters it somewhat{on_test}. Another "
        "training seed is not in the intervals."
    )


def models(compared: ModelComparison) -> ReportTable:
    """Return the table of all metrics of all compared models."""
    winner, objective = compared.winner, compared.evaluator.objective
    metrics = [name for name in SHOWN_METRICS if name != objective]
    rows = [
        (
            model.name,
            with_bounds(model.value),
            "" if model is winner else with_bounds(winner.gain_over(model), "+"),
            *(f"{model.users.values[name].mean():.4f}" for name in metrics),
        )
        for model in compared.found
    ]
    heads = ("", objective, f"gain of the {BEST}", *metrics)
    return ReportTable(heads, rows, frozenset({0}))


def lists(compared: ModelComparison) -> ReportTable:
    """Return the table of what users are shown by all compared models, at all cut-offs."""
    figures = {c.name: c.users.mean().as_dict() for c in compared.found}
    return ReportTable(("", *gate_tables.LISTS), gate_tables.list_rows(figures))


def segments(compared: ModelComparison) -> ReportTable:
    """Return the table of every model's objective in each group of users and of items."""
    groups = [
        f"users with {group.shortest} to {count(group.longest, 'row')} "
        f"({int(group.members.sum()):,})"
        for group in compared.evaluator.user_groups
    ] + [f"{group.name} items ({group.n_items:,})" for group in compared.evaluator.item_groups]
    columns = [[*model.value_by_users, *model.value_by_items] for model in compared.found]
    rows = [
        (name, *(f"{column[row].mean:.4f}" for column in columns))
        for row, name in enumerate(groups)
    ]
    return ReportTable(("", *(model.name for model in compared.found)), rows)


def without_the_future(compared: ModelComparison, later: ModelComparison) -> ReportTable:
    """Return the table of the objective on the study's split and on a split by global time.

    In the split by global time, no model has seen later rows of any user. Its figures are shown for
    all users, and for the users with a history if some users have none.

    Args:
        compared: the compared models on the study's validation split.
        later: the compared models on a split by global time.
    """
    known, usual = later.evaluator.has_history, {c.name: c.value for c in compared.found}
    groups = [(f"all {count(len(known), 'user')}", np.ones_like(known))]
    if known.any() and not known.all():
        groups.append((f"the {int(known.sum()):,} with a history", known))
    rows = [
        (
            model.name,
            with_bounds(usual[model.name]),
            *(with_bounds(mean_interval(model.values[members])) for _, members in groups),
        )
        for model in later.found
    ]
    heads = (
        compared.evaluator.objective,
        "the study's split",
        *(f"by global time, {name}" for name, _ in groups),
    )
    return ReportTable(heads, rows, frozenset({0}))


def best_trials(record: StudyRecord, trials: Sequence[TrialRow]) -> ReportTable:
    """Return the table of the ten best trials; the default configuration follows if it is not one.

    Args:
        record: record of the study.
        trials: the comparable trials.
    """
    names = list(record.config.space)
    ranked, default = complete_best_first(trials), default_trial(trials)
    shown = ranked[:SHOWN_TRIALS] + [t for t in ranked[SHOWN_TRIALS:] if t is default]
    rows = [
        (
            f"trial {trial.number}{' (default)' if trial.is_default else ''}",
            f"{trial.score:.4f}",
            *map(trial.shown, names),
            f"{trial.best_epoch}",
            f"{trial.seconds:.1f}",
        )
        for trial in shown
    ]
    return ReportTable(
        ("", record.config.objective, *names, "best epoch", "seconds"), rows, frozenset({0})
    )


def left_out(broken: Mapping[int, str]) -> list[str]:
    """Return a paragraph on complete trials that broke a constraint; none if there is none.

    Args:
        broken: by number of the trial, the limits that it breaks.
    """
    if not broken:
        return []
    told = "; ".join(
        f"trial {number}: {why}" for number, why in list(broken.items())[:SHOWN_TRIALS]
    )
    more = f"; and {len(broken) - SHOWN_TRIALS} more" if len(broken) > SHOWN_TRIALS else ""
    return [f"Left out everywhere in this report, since they break a constraint: {told}{more}."]


def stages(trials: Sequence[TrialRow]) -> ReportTable:
    """Return the table of the time spent per stage, by the final state of the trials."""
    groups: dict[str, list[TrialRow]] = defaultdict(list)
    for trial in trials:
        if trial.ended is not None:
            groups[f"{trial.became}{f' ({trial.cause})' if trial.cause else ''}"] += [trial]
    rows = [_stage(name, groups[name]) for name in sorted(groups)]
    rows.append(_stage("all", [trial for group in groups.values() for trial in group]))
    heads = (
        "", "trials", "epochs", "seconds in training", "in evaluation", "around epochs",
        "median of a trial", "per epoch",
    )  # fmt: skip
    return ReportTable(heads, rows, frozenset({len(rows) - 1}))


def _stage(name: str, trials: Sequence[TrialRow]) -> tuple[str, ...]:
    epochs = sum(len(trial.curve) for trial in trials)
    seconds = sum(trial.seconds for trial in trials)
    asked = sum(trial.evaluation_seconds for trial in trials)
    around = sum(trial.other_seconds for trial in trials)
    middle = median(trial.seconds + trial.other_seconds for trial in trials)
    each = f"{seconds / epochs:.3f}" if epochs else ""
    return (
        name, f"{len(trials)}", f"{epochs:,}", f"{seconds - asked:,.1f}", f"{asked:,.1f}",
        f"{around:,.1f}", f"{middle:.1f}", each,
    )  # fmt: skip


def _rule(split: SplitConfig) -> str:
    if split.method in ("given", "leave-one-out"):
        return split.method
    return f"{split.method}, {split.fraction:.0%} held out twice"


def about(record: StudyRecord, made: str) -> ReportTable:
    """Return the table on the origin of the figures: data, split, study and environment.

    Args:
        record: record of the study.
        made: date and time of the report.
    """
    config = record.config
    counts = ", ".join(f"{name.removeprefix('n_')} {n:,}" for name, n in record.counts.items())
    rows = [
        ("data", f"{record.data_name}: {counts}"),
        ("split", _rule(config.split)),
        ("fingerprint", f"{record.split_fingerprint} (data and split)"),
        ("study", f"{record.uid}, seed {config.seed}"),
        *([("model", config.trainable)] if config.trainable else []),
        ("search", f"sampler {config.sampler.name}, pruner {config.pruner.name}"),
        *record.environment.items(),
        ("report made", made),
    ]
    return ReportTable(("", ""), rows)
