"""The refit: a recipe trained on train + validation, stored, and measured on test once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hpo.gate.drift import Drift, with_value
from hpo.gate.final_evaluation import FinalEvaluation
from hpo.gate.findings import GateFindings
from hpo.gate.race import Race
from hpo.gate.rivals import Champion
from hpo.gate.rules import CHAMPION, judge
from hpo.gate.serving_cost import latency_ms, stored_mb
from hpo.registry import Recipe
from hpo.study import Candidate
from recsys.artifacts import checkpoint
from recsys.cli import default_device
from recsys.data import Split
from recsys.evaluation import Interval
from recsys.messages import count
from recsys.models import TwoTower
from recsys.retrieval import ItemIndex, Recommender, index_builder as indexing
from recsys.training import train


@dataclass(frozen=True, eq=False)
class Refit:
    """The final model and its findings.

    Attributes:
        model: the trained model.
        folder: folder of the stored model.
        findings: everything that the gate measured about the model.
    """

    model: TwoTower
    folder: Path
    findings: GateFindings


@dataclass(frozen=True, eq=False)
class RefitContext:
    """The context of a refit: a promotion or a retraining.

    Attributes:
        race: the race that the config has won; None for a retraining.
        default: the study's default configuration; None if it has no COMPLETE trial, and for a
            retraining.
        drift: difference between the new data and the champion's; None for a promotion.
    """

    race: Race | None = None
    default: Candidate | None = None
    drift: Drift | None = None


def refit_model(
    recipe: Recipe,
    context: RefitContext,
    champion: Champion | None,
    split: Split,
    folder: Path,
    say: Callable[[str], None],
) -> Refit:
    """Train on train + validation, then measure the model and its rivals on test, once.

    Args:
        recipe: the config and its number of epochs.
        context: a promotion or a retraining.
        champion: the current champion; None: there is none yet.
        split: the split of the data.
        folder: folder for the model; created if missing.
        say: called with one line before each long step.

    Returns:
        The stored model and its findings.

    Raises:
        DivergedError: the loss of the refit is not finite.
    """
    device, source = default_device(), recipe.source
    teachers = source.promotion.teachers
    epochs = count(recipe.epochs, "epoch")
    taught = f", {count(teachers, 'teacher')} first" if teachers else ""
    say(f"refit: trial {source.trial}, {epochs} on train + validation{taught}")
    seen = split.final.seen
    model = train(seen, recipe.config, recipe.epochs, device, teachers=teachers, say=say)
    renews = context.drift is not None
    rules, cutoffs = source.promotion, source.cutoffs
    evaluation = FinalEvaluation(split, model, rules, device, source.objective, renews, cutoffs)
    if champion:
        evaluation.compare_with_champion(champion)
    if context.race:
        evaluation.compare_with_default(context.default, recipe.config)
    evaluation.compare_with_baselines()
    evaluation.model.cpu()  # where hpo.serve answers, and its latency counts
    recommender, index = _served(evaluation, say)
    _save(folder, recipe, split, model, evaluation.test, index)
    return Refit(model, folder, _findings(evaluation, context, champion, folder, recommender))


def _served(
    evaluation: FinalEvaluation, say: Callable[[str], None]
) -> tuple[Recommender, ItemIndex | None]:
    """Return the recommender that hpo.serve will answer with, and its index.

    The index is None if the catalogue is too small for one, or if the index misses its target.
    """
    recommender = Recommender(evaluation.model, evaluation.split.interactions)
    if not indexing.pays(recommender.n_items):
        return recommender, None
    say(f"index of {count(recommender.n_items, 'item')}")
    index = indexing.build_index(recommender)
    if indexing.is_good_enough(index):
        return indexing.with_index(recommender, index), index
    evaluation.notes.append(
        f"answers over HTTP are exact: {indexing.TARGET} is asked of {index.facts}"
    )
    return recommender, None


def _findings(
    evaluation: FinalEvaluation,
    context: RefitContext,
    champion: Champion | None,
    folder: Path,
    recommender: Recommender,
) -> GateFindings:
    megabytes = stored_mb(folder)
    milliseconds = latency_ms(recommender)
    reason = judge(
        evaluation.comparisons,
        evaluation.rules,
        megabytes,
        milliseconds,
        evaluation.obstacle,
        evaluation.missing,
    )
    drift = context.drift
    if drift is not None:
        # Data without common ground is unrelated: no retraining passes, whatever the rules ask.
        reason = reason or evaluation.obstacle
        rivals = (one for one in evaluation.comparisons if one.rival == CHAMPION)
        drift = with_value(drift, next(rivals, None))
    return GateFindings(
        objective=evaluation.objective,
        test=evaluation.test,
        comparisons=tuple(evaluation.comparisons),
        notes=tuple(evaluation.notes),
        model_mb=megabytes,
        latency_ms=milliseconds,
        champion=champion.version if champion else None,
        reason=reason,
        race=context.race,
        drift=drift,
        index=recommender.index,
        lists=evaluation.lists,
    )


def _save(
    folder: Path,
    recipe: Recipe,
    split: Split,
    model: TwoTower,
    test: Mapping[str, Interval],
    index: ItemIndex | None,
) -> None:
    """Store the model with the full history, and with the history behind the test figures.

    The full history is what hpo.serve answers from.
    """
    about = {
        **checkpoint.origin(recipe.source.data_name, split),
        **recipe.as_dict(),
        "trained_on": "train + validation",
        "test": {name: interval.mean for name, interval in test.items()},
    }
    seen = split.final.seen
    checkpoint.save(folder, model, split.interactions, about, measured=seen, index=index)
