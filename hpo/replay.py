"""Replay of a trial: train it again from its stored settings, and compare every number.

python -m hpo.replay --trial 17
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from hpo.arguments import add_moved_data_argument, add_place_arguments
from recsys.cli import command_parser, run_command
from recsys.messages import count


def main(argv: Sequence[str]) -> int:
    """Replay one trial and return the exit code: 0 if every epoch is the same.

    Raises:
        RecsysError: the study, the trial or its data is not there, or the folder cannot be written.
    """
    options = parser().parse_args(argv)
    from hpo.config import Locations
    from hpo.study import (
        StudyRecord,
        existing_storage,
        load_named,
        replay,
        save_model,
        trial_to_replay,
    )
    from recsys.artifacts import make_folder
    from recsys.training import Fit

    locations = Locations.resolve(options.storage, None)
    study = load_named(existing_storage(locations.storage), options.study_name)
    trial = trial_to_replay(study, options.trial)
    if options.artifacts is not None:
        StudyRecord.of(study).config.require_two_tower("--artifacts stores")
        make_folder(options.artifacts)  # fails before the training if the folder cannot be used
    print(f"study {study.study_name}, trial {trial.number}: {trial.state.name.lower()}", flush=True)
    found = replay(study, trial, options.data, lambda line: print(line, flush=True))
    if options.artifacts is not None:
        assert isinstance(found.fit, Fit), "refused above"
        best = found.fit.best
        assert best is not None, "trial_to_replay lets no trial without epochs through"
        save_model(
            options.artifacts,
            found.fit.model,
            found.record,
            found.split,
            trial=trial.number,
            best_epoch=best.epoch,
            validation=best.metrics,
        )
        print(f"model of epoch {best.epoch}: {options.artifacts}")
    for line in found.differences:
        print(line)
    if not found.differences:
        how = "bit for bit"
        if found.tolerance:
            how = f"within {found.tolerance:g} (largest difference {found.largest:.2g}), as on GPUs"
        print(f"the same: {count(found.n_epochs, 'epoch')}, {how}")
    return 1 if found.differences else 0


def parser() -> argparse.ArgumentParser:
    """Return the parser of `python -m hpo.replay`."""
    result = command_parser(
        "hpo.replay",
        "Train a trial again from its stored settings, and compare every epoch.",
        "--trial 17 --artifacts artifacts/trial-17",
    )
    result.add_argument("--trial", type=int, required=True, metavar="N", help="number of the trial")
    add_place_arguments(result)
    add_moved_data_argument(result)
    result.add_argument(
        "--artifacts",
        type=Path,
        metavar="DIR",
        help="folder for the model of the trial's best epoch (default: not stored)",
    )
    return result


if __name__ == "__main__":
    run_command(main)
