"""hpo.promote and hpo.retrain are killed (-9) at 30 random points each, and run again.

Real processes and real models. They are forked from one that has imported everything, so that a
kill hits the work and not the imports.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hpo.config.locations import Locations
from hpo.promotion.promote import promote_study
from hpo.promotion.retrain import retrain_champion
from tests.integration.promotion.test_promotion_killed import QUICK, check, copy_of
from tests.support.examples import conveyor
from tests.support.real_study import RealStudy, write_csv
from tests.support.registered import Registered

KILLS = 30
WANTED = {"champion": 2, "previous": 1}
EASY = {"must_beat": ["popularity"]}

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(sys.platform == "win32", reason="forks"),
    pytest.mark.timeout(3600),
]


def promoting(locations: Locations, cache: Path) -> None:
    os.environ["RECSYS_CACHE"] = str(cache)
    promote_study(locations, "shop", settings=QUICK)


def retraining(locations: Locations, cache: Path) -> None:
    os.environ["RECSYS_CACHE"] = str(cache)
    retrain_champion(locations)


Act = Callable[[Locations, Path], None]


def run(act: Act, locations: Locations, cache: Path, seconds: float | None = None) -> int | None:
    """Act in a process of its own, killed after so many seconds; its exit code."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    process = context.Process(target=act, args=(locations, cache))
    process.start()
    process.join(seconds)
    process.kill()
    process.join()
    return process.exitcode


def outlives_kills(act: Act, locations: Locations, cache: Path) -> None:
    for name in ("warm", "whole"):  # the first fork waits for the imports
        started = time.monotonic()
        assert run(act, copy_of(locations, name), cache) == 0
        whole = time.monotonic() - started
    chance, hits = random.Random(0), 0
    for number in range(KILLS):
        copy = copy_of(locations, f"killed-{number}")
        hits += run(act, copy, cache, chance.uniform(0, whole)) != 0
        assert run(act, copy, cache) == 0, f"kill {number}"
        check(copy, WANTED)
    print(f"{hits} of {KILLS} kills came before the end; undisturbed: {whole:.2f} s")
    assert hits >= KILLS / 2


def test_a_promotion_killed_at_thirty_points(tmp_path: Path) -> None:
    study = RealStudy(tmp_path)
    Registered(tmp_path, study.locations.tracking_uri).add()
    study.train("shop", n_trials=1, promotion=EASY)
    outlives_kills(promoting, study.locations, tmp_path / "cache")


def test_a_retraining_killed_at_thirty_points(tmp_path: Path) -> None:
    study = RealStudy(tmp_path)
    study.train("shop", n_trials=1, promotion=EASY)
    promote_study(study.locations, "shop", settings=replace(QUICK, force="the first one"))
    write_csv(study.data, conveyor(n_users=66, length=15))
    outlives_kills(retraining, study.locations, tmp_path / "cache")
