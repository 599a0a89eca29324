"""Keeping, with the study, its report and the best trial's model, which the report made anew."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from hpo.kept import keep
from hpo.places import Places
from hpo.replaying import save_model
from hpo.reports.sections import Findings
from hpo.reports.trials import complete
from recsys.errors import RecsysError


def keep_report(places: Places, findings: Findings, files: Mapping[str, bytes]) -> tuple[bool, str]:
    """Keep report and model; whether that worked, and what to say of it.

    A report that cannot be kept, in a folder that is read-only for instance, is still a report.
    """
    best, winner = complete(findings.trials)[0], findings.compared.winner
    save = None
    if winner.model is not None and winner.is_as_stored:
        save = partial(
            save_model,
            model=winner.model,
            record=findings.record,
            split=findings.split,
            trial=best.number,
            best_epoch=best.best_epoch,
            validation=winner.users.mean(),
        )
    try:
        keep(places.storage, findings.study, files, best.number, save)
    except RecsysError as error:
        return False, f"not kept: {error}"
    if save is None:
        return True, (
            f"the model of trial {best.number} is not kept: trained again it has "
            f"{winner.objective} {winner.value.mean:.6f}, not {best.score:.6f}"
        )
    return True, f"kept: the model of trial {best.number}"
