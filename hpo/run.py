"""Tune a two-tower on your interactions.

python -m hpo.run --n-trials 50
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo.arguments import (
    add_artifacts_argument,
    add_link_arguments,
    add_place_arguments,
    chosen_locations,
)
from hpo.config import shipped_names
from recsys.cli import (
    DATA_SETTINGS,
    add_data_arguments,
    add_device_argument,
    add_split_arguments,
    command_parser,
    device_from,
    run_command,
)
from recsys.invocation import command_words

if TYPE_CHECKING:
    from hpo.config import Locations, Override, StudyConfig
    from hpo.execution import Request

DEFAULT_STUDY = "two_tower"


def parser() -> argparse.ArgumentParser:
    """Return the parser of `python -m hpo.run`."""
    result = command_parser(
        "hpo.run",
        "Tune a two-tower recommender: sample, train, prune, compare. Run it again to continue.",
        "--data ml-100k --n-trials 50 --workers 2",
    )
    result.add_argument(
        "--n-trials", type=int, metavar="N", help="finished trials, at most a million (default: 50)"
    )
    result.add_argument(
        "--study",
        default=DEFAULT_STUDY,
        metavar="NAME|FILE.toml",
        help=f"study file with the search space: a path, or one of {', '.join(shipped_names())} "
        "(default: %(default)s)",
    )
    add_data_arguments(result, source=None, where="the study file's")
    add_split_arguments(result)
    add_place_arguments(result, default="<toml>-<data>")
    add_artifacts_argument(result)
    add_link_arguments(result)
    result.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="number of worker processes (default: number of cores, at most 8)",
    )
    _add_engine_arguments(result)
    add_device_argument(result)
    _add_budget_arguments(result)
    _add_study_arguments(result)
    result.add_argument("--seed", type=int, metavar="N", help="seed of the study (default: 0)")
    result.add_argument(
        "--tag",
        action="append",
        default=[],
        type=_tag,
        metavar="KEY=VALUE",
        help="tag of the study's run in MLflow; may be repeated",
    )
    result.add_argument(
        "--description", metavar="TEXT", help="description of the study, shown in MLflow"
    )
    _add_conduct_arguments(result)
    return result


def _add_engine_arguments(result: argparse.ArgumentParser) -> None:
    result.add_argument(
        "--engine",
        "--runner",
        dest="runner",
        choices=("process", "inline", "ray"),
        default="process",
        help="train in worker processes, in this one, or on a Ray cluster (default: %(default)s)",
    )
    result.add_argument(
        "--ray-address",
        default="auto",
        metavar="ADDRESS",
        help="cluster of --engine ray: auto, HOST:PORT of its head, or local for one of this "
        "machine only (default: %(default)s)",
    )


def _add_conduct_arguments(result: argparse.ArgumentParser) -> None:
    result.add_argument(
        "--accept-changes",
        action="store_true",
        help="continue a study with other data, another split, seed or ranges",
    )
    result.add_argument(
        "--promote", action="store_true", help="register the winner at the end, as hpo.promote does"
    )
    result.add_argument(
        "--json",
        action="store_true",
        help="print events as JSON lines on stdout, all other text on stderr",
    )
    result.add_argument("--no-report", action="store_true", help="write no report at the end")
    result.add_argument("--no-tracking", action="store_true", help="write nothing into MLflow")


def _add_budget_arguments(result: argparse.ArgumentParser) -> None:
    result.add_argument(
        "--threads",
        type=int,
        metavar="N",
        help="torch threads per worker (default: chosen from the model size)",
    )
    result.add_argument(
        "--timeout",
        type=float,
        metavar="S",
        help="after S seconds, start no trial and park the running ones; the same command resumes "
        "them; exit code 0",
    )
    result.add_argument(
        "--trial-seconds",
        type=float,
        metavar="S",
        help="time limit of one trial in seconds (default: none)",
    )


def _add_study_arguments(result: argparse.ArgumentParser) -> None:
    result.add_argument(
        "--set",
        action="append",
        default=[],
        type=_override,
        metavar="KEY=VALUE",
        help="replace a key of the study file, for instance space.dim.high=128; may be repeated",
    )
    result.add_argument(
        "--warm-start-from",
        metavar="STUDY",
        help="first try the five best configs of that study, as far as they fit the search space",
    )
    result.add_argument(
        "--print-config",
        action="store_true",
        help="print all settings of the study as a study file, and run nothing",
    )


def main(argv: Sequence[str]) -> int:
    """Run the study and return the exit code.

    Raises:
        SettingsError: the study file or an option is wrong.
        StudyError: the study cannot be opened or continued.
        TrackingError: the URI of MLflow cannot be used.
    """
    commands = parser()
    options = commands.parse_args(argv)
    if options.no_tracking and options.promote:
        commands.error("--promote writes into MLflow, --no-tracking does not: give one of them")
    from hpo.config import load_study_config, shell_line, study_path
    from recsys.artifacts import check_tracking_uri

    options.study = study_path(options.study)
    config = load_study_config(options.study, _options_of_study(options), options.set)
    if options.print_config:
        return _print_config(options.study, config)
    locations = chosen_locations(options)
    if not options.no_tracking:
        check_tracking_uri(locations.tracking_uri)
    from hpo.execution import (
        launch,  # loads torch and optuna, only after the settings were checked
    )

    again = shell_line(*command_words("hpo.run"), *argv)
    return launch(replace(_request(options, config, locations), again=again))


def _print_config(path: Path, config: StudyConfig) -> int:
    """Print the resulting study file, and on stderr the adjusted defaults; return the exit code."""
    from hpo.config import (
        clamped_defaults,
        clamped_lines,
        default_name,
        dump_study_config,
        left_open,
        with_defaults,
    )

    kept = left_open(config)
    moved = {name: v for name, v in clamped_defaults(config).items() if name not in kept}
    for line in clamped_lines(config, moved):
        print(line, file=sys.stderr)
    named = config.model_copy(update={"name": default_name(path, config)})
    if isinstance(sys.stdout, io.TextIOWrapper) and not sys.stdout.isatty():
        sys.stdout.reconfigure(encoding="utf-8")  # study files are, whatever the locale is
    print(dump_study_config(with_defaults(named, moved)), end="")
    return 0


def _request(options: argparse.Namespace, config: StudyConfig, locations: Locations) -> Request:
    from hpo.execution import Request
    from hpo.runners import worker_devices

    if options.runner == "ray":
        devices = [options.device]
    else:
        devices = worker_devices(_device(options), config.workers, config.device_slots)
    return Request(
        config=config,
        file_stem=options.study.stem,
        locations=locations,
        runner=options.runner,
        devices=devices[:1] if options.runner == "inline" else devices,
        report=not options.no_report,
        promote=options.promote,
        tracking=not options.no_tracking,
        accept_changes=options.accept_changes,
        json=options.json,
        warm_start_from=options.warm_start_from,
        ray_address=options.ray_address,
    )


def _device(options: argparse.Namespace) -> str:
    """Return the name of the device; plain "cuda" means all GPUs of the machine."""
    device = device_from(options)
    return device.type if options.device in ("auto", device.type) else str(device)


def _options_of_study(options: argparse.Namespace) -> dict[str, Any]:
    """Return the options that replace keys of the study file; None marks options not given."""
    given = {"source": options.data, **{name: getattr(options, name) for name in DATA_SETTINGS}}
    data = {name: value for name, value in given.items() if value is not None}
    rule = {"method": options.split, "eval_users": options.eval_users}
    split = {name: value for name, value in rule.items() if value is not None}
    return {
        "name": options.study_name,
        "data": data or None,
        "split": split or None,
        "n_trials": options.n_trials,
        "workers": options.workers,
        "threads": options.threads,
        "trial_seconds": options.trial_seconds,
        "timeout": options.timeout,
        "seed": options.seed,
        "description": options.description,
        "tags": dict(options.tag) or None,
    }


def _tag(text: str) -> tuple[str, str]:
    """Split KEY=VALUE.

    Raises:
        argparse.ArgumentTypeError: the key or the equals sign is missing.
    """
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise argparse.ArgumentTypeError(f"{text!r}: give KEY=VALUE")
    return key, value


def _override(text: str) -> Override:
    """Parse an override of the study file.

    Raises:
        argparse.ArgumentTypeError: the text is no KEY=VALUE of a study file.
    """
    from hpo.config import Override

    try:
        return Override.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


if __name__ == "__main__":
    run_command(main)
