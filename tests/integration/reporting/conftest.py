"""A study with everything that a report tells, and what the report finds out of it."""

from __future__ import annotations

import pytest

from hpo.execution.ledger import Ledger
from hpo.reporting.report import find_out, report_files
from hpo.reporting.sections import Findings
from hpo.study.records import StudyRecord
from recsys.data.interactions import Interactions
from recsys.data.splitting import TEST, Split
from tests.support.real_study import BASE, RealStudy
from tests.support.scripted import ScriptedRunner


@pytest.fixture(scope="package")
def real(tmp_path_factory: pytest.TempPathFactory) -> RealStudy:
    """Eleven complete trials, one pruned, one failed."""
    real = RealStudy(tmp_path_factory.mktemp("report"))
    real.base = {**BASE, "neighbour_weight": 0.0}  # neighbours alone make no mistakes here
    study = real.train("shop", 11)
    config = StudyRecord.of(study).config
    ledger, runner = Ledger(study, config), ScriptedRunner(lambda _: [0.1, 0.3, 0.2])
    for ending in ("prune", "fail"):
        assignment = ledger.start("inline", 1)
        for result in runner.epochs(assignment.config):
            ledger.report(assignment, result)
        if ending == "fail":
            ledger.fail(assignment, assignment.outcome("error", "loss is <nan>"))
        else:
            ledger.prune(assignment)
    return real


@pytest.fixture(scope="package")
def findings(real: RealStudy) -> Findings:
    """Made while nobody can read the test rows."""

    def guard(split: Split) -> Interactions:
        assert split.method == "global-time", "the report reads test data"  # of tuning rows alone
        return split.interactions.take(split.parts == TEST)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Split, "test", property(guard))
        return find_out(real.locations, "shop")


@pytest.fixture(scope="package")
def files(findings: Findings) -> dict[str, bytes]:
    return report_files(findings)
