"""The report's sections from top to bottom, each with its figure and its table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from hpo.reporting import tables
from hpo.reporting.document import Headline, Picture, Report, Section
from hpo.reporting.figures.models import segment_bars, values
from hpo.reporting.figures.search import durations, history, learning_curves
from hpo.reporting.figures.space import importance_bars, parallel_coordinates, slices
from hpo.reporting.insights import MIN_COMPLETE, hints
from hpo.reporting.model_comparison import ModelComparison
from hpo.study import StudyRecord, TrialRow, complete_best_first, default_trial
from recsys.data import Split
from recsys.messages import count

NOTHING = (
    "Nothing stands out: the best trials press against no bound of the search space, and no "
    "parameter is without importance by both PED-ANOVA and fANOVA."
)
IMPORTANCE = (
    "Computed from the complete trials ({n} so far); pruned trials have no final value. The bars "
    "are from PED-ANOVA, as in optuna-dashboard: each parameter's share in reaching the best tenth "
    "of the values. Fixing a parameter is advised only if fANOVA also finds that it explains "
    "little of the variance of all values."
)
OTHERS = (
    "optuna-dashboard shows other figures: it also counts trials on earlier data or beyond "
    "today's constraints, which are left out here."
)
GROUPS = (
    "Users in thirds by the length of their history in train; items in thirds of all rows of "
    "train. The lines on the bars are 95% intervals over users."
)
SHOWN = (
    "The top of every user's list. Coverage: the share of the catalogue that at least one user is "
    "shown. Novelty: the mean self-information of what is shown, in bits: the rarer, the higher. "
    "Gini: 0 if all items are shown equally often, near 1 if few take it all. [metrics] cutoffs in "
    "the study file adds lengths."
)
LATER = (
    "First column: the study's split ({method}), which holds out rows of each user: a model knows "
    "later rows of other users{within}. By global time: the same hyperparameters learn from the "
    "oldest rows of train and validation and are asked for the newest, so the model knows nothing "
    "of the future. The users differ and there are fewer rows to learn from: compare within a "
    "column only. A user without a history gets a vector that was not trained."
)
LATER_TITLE = "Without other users' future"
NOT_LATER = (
    "Not measured: the best trial's hyperparameters were trained on the oldest rows of train and "
    "validation, so that the model knows nothing of the future, and that failed: {why}."
)
AROUND = (
    "Around the epochs: time between a trial's start and its end outside its epochs, for set-up, "
    "bookkeeping and waiting."
)


@dataclass(frozen=True, eq=False)
class Findings:
    """Everything that a report shows.

    Attributes:
        study: name of the study.
        record: record of the study.
        split: the study's data and split.
        trials: the comparable trials, see `hpo.study.records.comparable`.
        importance: share by parameter, see `hpo.reporting.insights.importances`.
        variance: share by parameter, see `hpo.reporting.insights.variance_shares`.
        compared: the models on the study's own validation split; None: the model of the user's own
            offers no scorer.
        broken: by number of a trial that cannot win, the limits that it breaks.
        later: the models on a split by global time; None if there is no such split.
        later_problem: why the models could not be measured there; "" if nothing failed.
    """

    study: str
    record: StudyRecord
    split: Split
    trials: Sequence[TrialRow]
    importance: Mapping[str, float]
    variance: Mapping[str, float]
    compared: ModelComparison | None
    later: ModelComparison | None
    broken: Mapping[int, str] = field(default_factory=dict)
    later_problem: str = ""


def build(findings: Findings) -> Report:
    """Return the report.

    Its figures look right only inside `hpo.reporting.figures.style.style()`.
    """
    sections = [
        _next(findings),
        *_search(findings),
        *_space(findings),
        *_models(findings),
        *_rest(findings),
    ]
    return Report(findings.study, _facts_line(findings), first_screen(findings), sections)


def first_screen(findings: Findings) -> Headline:
    """Return the report's first screen: the best trial against every other model."""
    trials = findings.trials
    best, default = complete_best_first(trials)[0], default_trial(trials)
    return tables.headline(findings.record, best, default, findings.compared)


def _facts_line(findings: Findings) -> str:
    counts, trials = findings.record.counts, findings.trials
    states = Counter(trial.became for trial in trials)
    shown = ", ".join(f"{n} {state}" for state, n in sorted(states.items()))
    starts = [trial.started for trial in trials if trial.started]
    return (
        f"{findings.record.data_name}: {count(counts['n_users'], 'user')}, "
        f"{count(counts['n_items'], 'item')}, "
        f"{counts['n_train']:,} train and {count(counts['n_validation'], 'validation row')}. "
        f"{count(len(trials), 'trial')}: {shown}. Started {min(starts):%Y-%m-%d %H:%M}."
    )


def _next(findings: Findings) -> Section:
    config, trials = findings.record.config, findings.trials
    found = hints(config, trials, findings.importance, findings.variance)
    n = len(complete_best_first(findings.trials))
    if n < MIN_COMPLETE:
        verb = "says" if n == 1 else "say"
        text = [f"{count(n, 'complete trial')} {verb} too little: run at least {MIN_COMPLETE}."]
    elif not found:
        text = [NOTHING]
    else:
        text = [hint.text for hint in found]
    return Section("next", "What to try next", text)


def _search(findings: Findings) -> Iterator[Section]:
    trials, objective = findings.trials, findings.record.config.objective
    default = default_trial(trials)
    lines = {name: values[objective] for name, values in findings.record.baselines.items()}
    if findings.compared:
        lines = {c.name: c.value.mean for c in findings.compared.found if c.stored is None}
    if default is not None:
        lines["default"] = default.score
    yield Section(
        "history",
        "Optimization history",
        picture=Picture(
            "history",
            history(trials, lines, objective),
            f"{objective} of each trial by number with the best so far; dashed lines for the "
            "default configuration and the baselines; pruned trials are crosses",
        ),
    )
    yield Section(
        "curves",
        "Learning curves",
        picture=Picture(
            "learning_curves",
            learning_curves(trials, objective),
            f"{objective} by epoch for every trial; pruned curves end in a cross",
        ),
    )


def _space(findings: Findings) -> Iterator[Section]:
    trials, config = findings.trials, findings.record.config
    space, objective = config.space, config.objective
    n = len(complete_best_first(trials))
    if findings.importance:
        text = [IMPORTANCE.format(n=n)]
        if findings.record.comparable_from or findings.record.infeasible:
            text.append(OTHERS)
        if lacking := [name for name in space if name not in findings.importance]:
            text.append(f"Not judged, since no complete trial has them: {', '.join(lacking)}.")
        alt = "bars: " + ", ".join(f"{name} {v:.2f}" for name, v in findings.importance.items())
        picture = Picture("importances", importance_bars(findings.importance), alt)
        yield Section("importances", "Parameter importances", text, picture)
    else:
        why = (
            f"Needs {MIN_COMPLETE} complete trials with different values; there "
            f"{'is' if n == 1 else 'are'} {n}."
        )
        yield Section("importances", "Parameter importances", [why])
    alt = "one line per trial through its parameters to its value, the best trial in orange"
    picture = Picture("parallel_coordinates", parallel_coordinates(trials, space, objective), alt)
    text = ["Orange: the best trial; the darker, the better; dashed: pruned."]
    yield Section("parallel", "Parallel coordinates", text, picture)
    picture = Picture(
        "slices",
        slices(trials, space, objective, config.hyperparameters),
        f"{objective} against each parameter",
    )
    yield Section("slices", "Slices", picture=picture)


def _models(findings: Findings) -> Iterator[Section]:
    compared = findings.compared
    if compared is None:
        return
    found, objective = compared.found, compared.evaluator.objective
    alt = ", ".join(f"{c.name} {c.value.mean:.4f}" for c in found)
    yield Section(
        "models",
        "Against the default configuration and the baselines",
        [tables.how_measured(findings.record, compared)],
        Picture("models", values(found), f"{objective} with 95% intervals: {alt}"),
        tables.models(compared),
    )
    yield Section("lists", "What users are shown", [SHOWN], table=tables.lists(compared))
    yield Section(
        "segments",
        "Who is served well, and with what",
        [GROUPS],
        Picture(
            "segments", segment_bars(compared), f"{objective} by user activity and item popularity"
        ),
        tables.segments(compared),
    )
    if findings.later_problem:
        yield Section("later", LATER_TITLE, [NOT_LATER.format(why=findings.later_problem)])
    elif findings.later:
        method = findings.record.config.split.method
        in_order = method in ("temporal", "leave-one-out")
        within = ", but only earlier rows of the user in question" if in_order else ""
        yield Section(
            "later",
            LATER_TITLE,
            [LATER.format(method=method, within=within)],
            table=tables.without_the_future(compared, findings.later),
        )


def _rest(findings: Findings) -> Iterator[Section]:
    trials, record = findings.trials, findings.record
    yield Section(
        "time",
        "Time per trial and per stage",
        [AROUND],
        Picture("durations", durations(trials), "stacked bars: seconds of each trial"),
        tables.stages(trials),
    )
    left_out = tables.left_out(findings.broken)
    yield Section("trials", "Best trials", left_out, table=tables.best_trials(record, trials))
    made = f"{datetime.now().astimezone():%Y-%m-%d %H:%M %Z}"
    yield Section("about", "About this report", table=tables.about(record, made))
