"""The refit: the winner on train + validation, stored, and examined once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hpo.candidate import Candidate
from hpo.gate.exam import Exam
from hpo.gate.findings import Findings
from hpo.gate.limits import latency_ms, model_mb
from hpo.gate.race import Race
from hpo.gate.rivals import Champion
from hpo.gate.training import default_device, train
from hpo.gate.verdict import judge
from recsys import checkpoint
from recsys.bootstrap import Interval
from recsys.model import TwoTower
from recsys.recommender import Recommender
from recsys.split import Split


@dataclass(frozen=True, eq=False)
class Refit:
    """The final model, the folder that holds it, and all that was found out about it."""

    model: TwoTower
    folder: Path
    findings: Findings


def refit(
    race: Race,
    winner: Candidate,
    default: Candidate | None,
    champion: Champion | None,
    split: Split,
    folder: Path,
    say: Callable[[str], None],
) -> Refit:
    """Refit the winner on train + validation, then measure it and its rivals on test, once.

    Args:
        race: that it has won.
        winner: its config is trained for its `refit_epochs`.
        default: the default configuration, if it is COMPLETE in the study.
        champion: None: there is none yet.
        split: of the study.
        folder: where the model is stored; made if missing.
        say: is told what takes long.

    Raises:
        DivergedError: the refit's loss is not finite.
    """
    device = default_device()
    say(f"refit: trial {winner.trial}, {winner.refit_epochs} epochs on train + validation")
    model = train(split.final.seen, winner.config, winner.refit_epochs, device)
    exam = Exam(split, model, winner.record.config.promotion, device)
    if champion:
        exam.face_champion(champion)
    exam.face_default(default, winner)
    exam.face_baselines()
    test = exam.test
    _save(folder, winner, split, model, test)
    megabytes = model_mb(folder)
    milliseconds = latency_ms(Recommender(model, split.interactions))
    reason = judge(exam.comparisons, exam.rules, megabytes, milliseconds, exam.obstacle)
    findings = Findings(
        race=race,
        test=test,
        comparisons=tuple(exam.comparisons),
        notes=tuple(exam.notes),
        model_mb=megabytes,
        latency_ms=milliseconds,
        champion=champion.version if champion else None,
        reason=reason,
    )
    return Refit(model, folder, findings)


def _save(
    folder: Path, winner: Candidate, split: Split, model: TwoTower, test: Mapping[str, Interval]
) -> None:
    """The full history to serve from, the measured one to check the figures by."""
    about = {
        **checkpoint.origin(winner.record.data_name, split),
        "trained_on": "train + validation",
        "epochs": winner.refit_epochs,
        "test": {name: interval.mean for name, interval in test.items()},
    }
    checkpoint.save(folder, model, split.interactions, about, measured=split.final.seen)
