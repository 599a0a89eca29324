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
from hpo.config.next_commands import command, next_lines, shell_line
from hpo.config.toml_file import load_study_config
from hpo.execution.running_trial import RunEnd
from hpo.execution.summary import ending, heading, result_tables
from hpo.promotion.model_card import _as_code
from hpo.promotion.summary import _how_to_serve
from hpo.reporting.insights import Hint
from hpo.study.records import OUTCOME, STUDY, Cause, Outcome
from tests.support.paths import STUDIES
from tests.support.scripted import epoch_result, make_ledger, study_config, study_record


def study(*trials: tuple[TrialState, Cause | None]) -> optuna.Study:
    found = optuna.create_study(study_name="s", direction="maximize")
    found.set_user_attr(STUDY, study_record(study_config()).to_json())
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
    lines = ending(done, RunEnd("complete", 4), 4, Locations(), None).splitlines()
    assert lines[:4] == [
        "4 of 4 trials finished (1 complete, 1 fail, 3 pruned)",
        "  1 infeasible, not trained, for instance: too large",
        "  pruned 2 x time-limit",
        "  failed 1 x error",
    ]


def test_more_than_were_asked_for() -> None:
    done = study(*[(TrialState.COMPLETE, None)] * 4)
    text = ending(done, RunEnd("complete", 4), 2, Locations(), None)
    assert text.startswith("4 trials finished, 2 were asked for (4 complete)")
    assert ending(study(), RunEnd("timeout", 0), 1, Locations(), None).startswith(
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
    lines = ending(study((TrialState.COMPLETE, None)), RunEnd("complete", 1), 1, hidden, None)
    assert "secret" not in lines
    assert lines.count("put the password in the place of ***") == 1
    plain = ending(study((TrialState.COMPLETE, None)), RunEnd("complete", 1), 1, Locations(), None)
    assert "password" not in plain


def test_a_stopped_study_is_gone_on_with_by_the_same_command() -> None:
    again = "python -m hpo.run --study 'my study.toml' --data shop/"
    done = study((TrialState.COMPLETE, None))
    text = ending(
        done, RunEnd("timeout", 1), 2, Locations(), None, again=again, data="moved shop/"
    ).split("next:")[1]
    assert f"{again}\n" in text
    assert "python -m hpo.promote --study-name s --data 'moved shop/'\n" in f"{text}\n"
    assert "python -m hpo.dashboard --study-name s\n" in f"{text}\n"  # it takes no --data
    complete = ending(done, RunEnd("complete", 1), 1, Locations(), None, again=again)
    assert again not in complete


def test_the_end_of_a_study_says_how_to_search_beyond_an_edge() -> None:
    done, again = study((TrialState.COMPLETE, None)), "python -m hpo.run --study mine.toml"
    hint = Hint("dim", "dim: they press.", "--set 'space.dim={ low = 16, high = 512 }'")
    idle = Hint("mix", "mix: it presses.")
    said = f"{again} --n-trials 51"
    text = ending(
        done, RunEnd("complete", 51), 51, Locations(), None, again=said, edges=(hint, idle)
    )
    before, after = text.split("next:")
    assert "dim: they press.\nmix: it presses.\n" in before
    assert f"{again} {hint.option} --accept-changes --n-trials 77\n" in after


def test_no_password_is_in_a_command_to_paste() -> None:
    url = "postgresql+psycopg://me:s:e@cret@host/studies"
    assert shell_line("x", f"--storage={url}", url) == (
        "x '--storage=postgresql+psycopg://me:***@host/studies' "
        "'postgresql+psycopg://me:***@host/studies'"
    )
    assert shell_line("x", "sqlite:////a b/c.db") == "x 'sqlite:////a b/c.db'"


def test_the_end_of_a_study_links_to_its_trials() -> None:
    done, page = study((TrialState.COMPLETE, None)), "http://127.0.0.1:5000/#/experiments/1/runs?x"
    lines = ending(done, RunEnd("complete", 1), 1, Locations(), None, page=page).splitlines()
    when = "while hpo.dashboard runs"
    assert lines[1:3] == [f"its trials in MLflow, the best first, {when}: {page}", "next:"]
    server = Locations(tracking_uri="http://mlflow:5000")
    text = ending(done, RunEnd("complete", 1), 1, server, None, page=page)
    assert f"its trials in MLflow, the best first: {page}\n" in text


def test_the_lines_that_serve_a_model_can_be_pasted() -> None:
    uri = "sqlite:////it's a b/m.db"
    lines = _how_to_serve(Locations(tracking_uri=uri), "u 1", "models:/two-tower@champion")
    assert shlex.split(lines[1]) == [
        "python", "-m", "hpo.serve", "--tracking-uri", uri,
        "--model", "models:/two-tower@champion",
    ]  # fmt: skip
    (export,) = [line for line in lines if "export MLFLOW" in line]
    assert shlex.split(export) == ["export", f"MLFLOW_TRACKING_URI={uri}"]
    assert "  $env:MLFLOW_TRACKING_URI = 'sqlite:////it''s a b/m.db'" in lines


def test_commands_are_quoted_for_the_shell() -> None:
    name = 'c<b>"`x'
    words = shlex.split(command("sync", name, Locations("sqlite:////a b/o.db")))
    assert words[3:] == ["--study-name", name, "--storage", "sqlite:////a b/o.db"]
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


def test_the_heading_says_how_rows_are_held_out() -> None:
    record = study_record(study_config(split={"method": "temporal"}))
    assert "; split temporal: " in heading(record, 1, 0, Locations())
    untimed = heading(record, 1, 0, Locations(), timed=False)
    assert "; split at random (no times): " in untimed


def test_a_report_that_is_written_is_not_offered_again() -> None:
    done = study((TrialState.COMPLETE, None))
    text = ending(done, RunEnd("complete", 1), 1, Locations(), None, reported=True)
    assert "hpo.report" not in text
    assert "hpo.promote" in text


def test_the_end_says_again_that_rows_were_held_out_at_random() -> None:
    done, told = study((TrialState.COMPLETE, None)), "held out at random: no column of times"
    assert told not in ending(done, RunEnd("complete", 1), 1, Locations(), None)
    assert told in ending(done, RunEnd("complete", 1), 1, Locations(), None, timed=False)
