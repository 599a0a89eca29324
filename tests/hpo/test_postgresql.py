"""The same engine on PostgreSQL: first starters take turns, one launcher owns a study."""

from __future__ import annotations

import subprocess
import sys

import pytest

from hpo.ledger import Ledger
from hpo.locks import LockHeld, exclusive
from hpo.scheduler import Ended, Scheduler
from hpo.storage import open_storage
from hpo.study import open_study
from tests.hpo.postgresql import postgresql_url
from tests.hpo.scripted import MemoryProgress, ScriptedRunner, study_config, study_record

__all__ = ["postgresql_url"]

START = "import sys; from hpo.storage import open_storage; open_storage(sys.argv[1])"


def test_six_first_starters_then_one_owner_and_an_exact_study(postgresql_url: str) -> None:
    starters = [
        subprocess.Popen([sys.executable, "-c", START, postgresql_url], stderr=subprocess.PIPE)
        for _ in range(6)
    ]
    errors = [starter.communicate()[1] for starter in starters]
    assert [starter.returncode for starter in starters] == [0] * 6, errors

    config = study_config()
    with exclusive(postgresql_url, "small"):
        with pytest.raises(LockHeld), exclusive(postgresql_url, "small"):
            pass
        study, _ = open_study(open_storage(postgresql_url), "small", study_record(config))
        runners = [ScriptedRunner() for _ in range(3)]
        scheduler = Scheduler(Ledger(study, config), runners, MemoryProgress(), config.n_trials)
        assert scheduler.run() == Ended("complete", 6)
    assert len(study.trials) == 6
