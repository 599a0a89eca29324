"""Studies that a scheduler runs with scripted trainings."""

from __future__ import annotations

from pathlib import Path

from hpo.config.study_config import StudyConfig
from hpo.execution.running_trial import RunEnd
from hpo.execution.scheduler import Scheduler
from tests.support.scripted import (
    MemoryProgress,
    Script,
    ScriptedRunner,
    make_ledger,
    saturating,
)


def run(
    folder: Path,
    config: StudyConfig,
    *scripts: Script,
    progress: MemoryProgress | None = None,
    timeout: float | None = None,
) -> RunEnd:
    runners = [ScriptedRunner(script) for script in scripts or (saturating, saturating)]
    scheduler = Scheduler(
        make_ledger(folder, config),
        runners,
        progress or MemoryProgress(),
        config.n_trials,
        timeout,
        config.trial_seconds,
    )
    return scheduler.run()
