"""The words at the end of a study."""

from __future__ import annotations

import io
import shlex
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState, create_trial
from rich.console import Console

from hpo.config.locations import Locations
from hpo.config.next_commands import command, next_lines
from hpo.config.toml_file import load_study_config
from hpo.execution.running_trial import Ended
from hpo.execution.summary import ending, result_tables
from hpo.promotion.model_card import _as_code
from hpo.study.records import OUTCOME, Cause, Outcome
from tests.hpo.scripted import epoch_result, make_ledger, study_record

STUDIES = Path(__file__).parents[2] / "studies"


def study(*trials: tuple[TrialState, Cause | None]) -> optuna.Study:
    found = optuna.create_study(study_name="s", direction="maximize")
    for state, cause in trials:
        outcome = Outcome(1, 1.0, cause, "too large" if cause == "infeasible" else "")
        value = 0.1 if state is TrialState.COMPLETE else None
        attrs = {OUTCOME: outcome.as_dict()}
        found.add_trial(create_trial(state=state, value=value, user_attrs=attrs))
    return found


def test_what_counts_is_not_called_failed() -> None:
    done = study(
        (TrialState.COMPLETE, None),
        *[(TrialState.PRUNED, "time-limit")] * 2,
        (TrialState.FAIL, "error"),
        (TrialState.PRUNED, "infeasible"),
    )
    lines = ending(done, Ended("complete", 4), 4, Locations(), None).splitlines()
    assert lines[:4] == [
        "4 of 4 trials finished (1 complete, 1 fail, 3 pruned)",
        "  1 infeasible, not trained, for instance: too large",
        "  pruned 2 x time-limit",
        "  failed 1 x error",
    ]


def test_more_than_were_asked_for() -> None:
    done = study(*[(TrialState.COMPLETE, None)] * 4)
    text = ending(done, Ended("complete", 4), 2, Locations(), None)
    assert text.startswith("4 trials finished, 2 were asked for (4 complete)")
    assert ending(study(), Ended("timeout", 0), 1, Locations(), None).startswith(
        "0 of 1 trial finish"
    )


def test_long_commands_stand_on_lines_of_their_own() -> None:
    assert next_lines({"short": "why", "longer": "how"}) == [
        "next:",
        "  short   why",
        "  longer  how",
    ]
    long = f"python -m hpo.report --storage sqlite:///{'x' * 60}"
    assert next_lines({long: "why", "b": "how"}) == ["next:", f"  # why\n{long}", "  # how\nb"]


def test_a_hidden_password_is_told_of_in_one_line() -> None:
    hidden = Locations(storage="postgresql+psycopg://me:secret@host/studies")
    lines = ending(study((TrialState.COMPLETE, None)), Ended("complete", 1), 1, hidden, None)
    assert "secret" not in lines
    assert lines.count("put the password of the database in the place of ***") == 1
    plain = ending(study((TrialState.COMPLETE, None)), Ended("complete", 1), 1, Locations(), None)
    assert "password" not in plain


def test_commands_are_quoted_for_the_shell() -> None:
    name = 'c<b>"`x'
    assert shlex.split(command("promote", name))[-2:] == ["--study-name", name]
    assert _as_code(name) == f"`` {name} ``"
    assert _as_code("plain") == "`plain`"


@pytest.mark.parametrize("file", ["two_tower.toml", "wide.toml"])
def test_the_final_table_shows_every_hyperparameter(tmp_path: Path, file: str) -> None:
    config = load_study_config(STUDIES / file, {}).model_copy(update={"name": "two_tower-ml-100k"})
    ledger, record = make_ledger(tmp_path, config), study_record(config)
    for _ in range(7):
        assignment = ledger.start("scripted", 1)
        ledger.report(assignment, epoch_result(1, 0.1 + 0.01 * assignment.number))
        ledger.complete(assignment)
    trials = {trial.number: trial for trial in ledger.study.trials}
    for width in (80, 100, 140):
        console = Console(file=io.StringIO(), width=width, soft_wrap=True, markup=False)
        for table in result_tables(ledger.study, record, console):
            console.print(table)
        text = console.file.getvalue()  # type: ignore[attr-defined]
        assert max(map(len, text.splitlines())) <= width
        assert "…" not in text
        assert "0 (defaults)" in text
        assert ("trial 6  " in text) == (file == "wide.toml" or width == 80)
        for number in (6, 5, 4, 3, 2, 0):
            for name, value in trials[number].params.items():
                shown = f"{name}={value:.4g}" if "trial 6  " in text else f"{value:.4g}"
                assert shown in text.split(), (width, number, name)
        assert set(config.space) <= {word.partition("=")[0] for word in text.split()}
