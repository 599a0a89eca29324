"""Space, base and warm starts of a study file: contradictions, clamped defaults, conditions."""

from __future__ import annotations

import tomllib
from pathlib import Path

import optuna
import pytest

from hpo.config.search_space import (
    SearchSpace,
    clamped_defaults,
    clamped_lines,
    with_defaults,
)
from hpo.errors import SettingsError
from hpo.run import main
from tests.support.study_files import SPACE, load


@pytest.mark.parametrize(
    ("space", "expected"),
    [
        ("dimm = { low = 1, high = 2 }", "no such hyperparameter; known: dim, lr"),
        ("seed = { low = 1, high = 2 }", "no such hyperparameter"),
        ("dim = { low = 0, high = 200 }", "0 is out of range: 1..4096"),
        ("dim = { low = 1.5, high = 200 }", "whole numbers"),
        ("dim = { low = 1, high = 200, choices = [1, 2] }", "either choices, or low and high"),
        ("dim = { low = 1, high = 200, log = true, step = 2 }", "exclude each other"),
        ("dim = { low = 1 }", "give low and high"),
    ],
)
def test_contradictions_in_the_space(tmp_path: Path, space: str, expected: str) -> None:
    with pytest.raises(SettingsError, match=r"study\.toml: ") as caught:
        load(tmp_path, f"[space]\n{space}\n")
    assert expected in str(caught.value)


def test_a_wrong_base_names_the_range(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"base\.lr: must be 1e-07\.\.10 \(given: 100\)"):
        load(tmp_path, "[base]\nlr = 100\n[space]\ndim = { low = 1, high = 200 }\n")


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("mix = { low = 0, high = 1, when = { lr = { low = 1 } } }", "when.lr: is not searched"),
        ("mix = { low = 0, high = 1, when = { cuts = [3, 4] } }", "cuts is never 4; it is 1..3"),
        ("mix = { low = 0, high = 1, when = { cuts = [2.5] } }", "cuts is never 2.5; it is 1..3"),
        ("mix = { low = 0, high = 1, step = 0.333333333 }", "to high=1, the last is 0.999999999;"),
        ("mix = { low = 0, high = 1, when = { cuts = { low = 4 } } }", "never holds; cuts is 1..3"),
        ("mix = { low = 0, high = 1, when = { mix = { low = 1 } } }", "circle: mix -> mix"),
        ("mix = { low = 0, high = 1, when = { cuts = { lo = 1 } } }", "known: low, high, choices"),
        ("mix = { low = 0, high = 1, when = { cuts = {} } }", "give choices, low or high"),
        ("mix = { low = 0, high = 1, step = 0.3 }", "to high=1, the last is 0.9"),
        ("mix = { choices = [0.35, 0.35] }", "2 different values, each given once"),
        ("mix = { low = 0, high = inf }", "space.mix.high: must be a finite number"),
    ],
)
def test_wrong_parameters_and_conditions(tmp_path: Path, lines: str, expected: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, SPACE + lines)
    assert len(caught.value.problems) == 1
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("line", "default", "told"),
    [
        ("dim = {low = 16, high = 32}", 32, "dim: default 128 clamped to 32, the nearest value in"),
        ("dim = { low = 200, high = 300 }", 200, "clamped to 200, the nearest value in 200..300"),
        ("dim = { low = 16, high = 60, step = 4 }", 60, "60, the nearest value in 16..60 in steps"),
        ("dim = { low = 16, high = 32, log = true }", 32, "default 128 clamped to 32"),
        ("dim = { choices = [16, 64, 300] }", 64, "the nearest value in 16, 64, 300"),
        ("mix = { low = 0.0, high = 1.0, step = 0.5 }", 0.5, "mix: default 0.35 clamped to 0.5"),
        ("mix = { low = 0.1, high = 0.3, step = 0.1 }", 0.3, "0.3, the nearest value in 0.1..0.3"),
        ("mix = { low = 0, high = 1.4, step = 0.7 }", 0.0, "default 0.35 clamped to 0, the"),
    ],
)
def test_a_default_outside_is_clamped_to_a_value_of_the_space(
    tmp_path: Path, line: str, default: float, told: str
) -> None:
    config = load(tmp_path, f"[space]\n{line}\n")
    moved = clamped_defaults(config)
    (name,) = moved
    assert (moved, type(moved[name])) == ({name: default}, type(default))
    (text,) = clamped_lines(config, moved)
    assert told in text
    moved_config = with_defaults(config, moved)
    study = optuna.create_study()
    study.enqueue_trial(SearchSpace(moved_config).params(moved_config.train_config))
    trial = study.ask()
    SearchSpace(moved_config).suggest(trial, seed=0)
    distribution = trial.distributions[name]
    assert distribution._contains(distribution.to_internal_repr(trial.params[name]))
    assert trial.params == {name: default}


def test_defaults_of_the_base_are_clamped_and_conditions_look_at_what_came_out(
    tmp_path: Path,
) -> None:
    text = """
    [base]
    dim = 8
    [space]
    lr = { low = 1e-4, high = 1e-3, when = { dim = { high = 16 } } }
    dim = { low = 16, high = 32 }
    mix = { low = 0.5, high = 1.0, when = { dim = { low = 20 } } }
    """
    config = load(tmp_path, text)
    assert clamped_defaults(config) == {"dim": 16, "lr": 1e-3}
    assert clamped_defaults(with_defaults(config, {"dim": 16, "lr": 1e-3})) == {}


def test_a_warm_start_takes_the_clamped_default_for_what_it_leaves_out(tmp_path: Path) -> None:
    space = "[space]\ndim = { low = 16, high = 32 }\nlr = { low = 1e-3, high = 1e-2 }\n"
    assert load(tmp_path, space + "[[warm_starts]]\nlr = 0.005\n").warm_starts == ({"lr": 0.005},)


def test_a_printed_study_has_the_clamped_default_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "study.toml"
    path.write_text("[space]\ndim = { low = 16, high = 32 }\n")
    assert main(["--study", str(path), "--print-config"]) == 0
    out, err = capsys.readouterr()
    assert tomllib.loads(out)["base"]["dim"] == 32
    assert err == "dim: default 128 clamped to 32, the nearest value in 16..32\n"


@pytest.mark.parametrize(
    "when", ["[0.3]", "0.3", "{ low = 0.3, high = 0.3 }", "{ high = 0.3 }", "{ low = 0.3 }"]
)
def test_a_condition_on_a_step_holds_in_spite_of_rounding(tmp_path: Path, when: str) -> None:
    mix = "mix = { low = 0.1, high = 0.5, step = 0.1 }\n"
    lr = f"lr = {{ low = 1e-3, high = 1e-2, when = {{ mix = {when} }} }}\n"
    space = SearchSpace(load(tmp_path, f"[space]\n{mix}{lr}"))
    grid = {"mix": [0.1 + 2 * 0.1], "lr": [0.005]}
    study = optuna.create_study(sampler=optuna.samplers.GridSampler(grid))
    trial = study.ask()
    space.suggest(trial, seed=0)
    assert trial.params["mix"] != 0.3  # but 0.30000000000000004
    assert set(trial.params) == {"mix", "lr"}


def test_a_condition_on_a_step_is_possible_in_spite_of_rounding(tmp_path: Path) -> None:
    mix = "mix = { low = 0.1, high = 0.7, step = 0.1 }\n"
    lr = "lr = { low = 1e-3, high = 1e-2, when = { mix = { low = 0.4, high = 0.4 } } }\n"
    assert load(tmp_path, f"[space]\n{mix}{lr}").is_conditional


def test_a_conditional_parameter_may_have_its_default_outside(tmp_path: Path) -> None:
    assert load(tmp_path, SPACE).is_conditional  # negatives is 0 by default


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        ("dim = 300", "warm_starts.0.dim: 300 is not in 16..256"),
        ("dim = 16.5", "warm_starts.0.dim: 16.5 is not in 16..256"),
        ("lr = 0.1", "warm_starts.0.lr: is not searched; searched: cuts, dim, negatives"),
        ("cuts = 1\nnegatives = 1000", "searched only where cuts in 2.. and dim in 16, 32"),
        ("cuts = 2\ndim = 16", "negatives: is missing: the base has 0, which is not in 1000, 5000"),
    ],
)
def test_warm_starts_that_do_not_fit(tmp_path: Path, start: str, expected: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, f"{SPACE}[[warm_starts]]\n{start}\n")
    assert len(caught.value.problems) == 1
    assert expected in str(caught.value)


def test_what_hangs_on_a_wrong_parameter_is_told_too(tmp_path: Path) -> None:
    text = """
    [space]
    dim = { low = 16, high = 8, when = { nope = 1 } }
    lr = { low = 0.001, high = 0.01 }
    [[warm_starts]]
    dim = 100000
    lr = 0.5
    """
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, text)
    found = str(caught.value)
    assert len(caught.value.problems) == 4, found
    for part in (
        "space.dim: low=16 must be below high=8",
        "space.dim.when.nope: is not searched, so it is no condition; searched: lr",
        "warm_starts.0.dim: must be 1..4096",
        "warm_starts.0.lr: 0.5 is not in 0.001..0.01",
    ):
        assert part in found


def test_all_problems_of_the_base_on_a_gpu_are_told(tmp_path: Path) -> None:
    text = """
    [base_on_gpu]
    batch_size = "many"
    dimm = 3
    dim = 5000
    seed = 1
    [space]
    lr = { low = 0.001, high = 0.01 }
    """
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, text)
    found = sorted(problem.partition("base_on_gpu")[2][:40] for problem in caught.value.problems)
    assert found == [
        ".batch_size: must be a number (given: 'm",
        ".dim: must be 1..4096 (given: 5000)",
        ".dimm: no such hyperparameter; known: di",
        ".seed: every trial has its own; the stud",
    ]


def test_a_warm_start_fits_the_base_on_a_gpu_too(tmp_path: Path) -> None:
    text = """
    [base]
    cuts = 2
    [base_on_gpu]
    cuts = 1
    [space]
    cuts = { low = 1, high = 2 }
    user_power = { low = 0.1, high = 1.0, when = { cuts = 2 } }
    [[warm_starts]]
    user_power = 0.5
    """
    with pytest.raises(
        SettingsError, match=r"with \[base_on_gpu\] is searched only where"
    ) as caught:
        load(tmp_path, text)
    assert len(caught.value.problems) == 1
    load(tmp_path, text.replace("cuts = 1\n", "dim = 64\n"))
