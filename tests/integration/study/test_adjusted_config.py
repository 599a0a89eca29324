"""Studies that launch() refuses, parameters it leaves out and defaults it clamps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from optuna import Study
from optuna.distributions import FloatDistribution
from optuna.trial import create_trial

from hpo.cli import status
from hpo.config.locations import Locations
from hpo.config.shipped_studies import study_path
from hpo.config.study_config import StudyConfig
from hpo.config.toml_file import load_study_config
from hpo.errors import SettingsError, StudyError
from hpo.execution.launcher import launch, make_record
from hpo.execution.request import Request
from hpo.study.adjusted_config import adjust_to_data
from hpo.study.data import load_data
from hpo.study.lifecycle import load_named, open_study
from hpo.study.records import StudyRecord
from hpo.study.storage import open_storage
from hpo.study.trial_rows import read_trials
from recsys.data.interactions import Interactions
from recsys.data.splitting import split
from recsys.models.neighbours import MAX_EASE_ITEMS
from tests.support.examples import conveyor, conveyor_split
from tests.support.real_study import write_csv

BASE = {"dim": 8, "epochs": 2}
LR = {"lr": {"low": 0.01, "high": 0.2}}


def shop(folder: Path, *, timed: bool = True) -> Path:
    path = folder / "shop.csv"
    write_csv(path, conveyor())
    if not timed:
        rows = [line.rpartition(",")[0] for line in path.read_text().splitlines()]
        path.write_text("\n".join(rows) + "\n")
    return path


def request(folder: Path, config: StudyConfig, **values: Any) -> Request:
    locations = Locations(storage(folder), "sqlite:///unused.db")
    made = Request(config, "made", locations, "inline", ["cpu"], tracking=False, report=False,
                   promote=False)  # fmt: skip
    return replace(made, **values)


def storage(folder: Path) -> str:
    return f"sqlite:///{(folder / 'optuna.db').as_posix()}"


def study_config(data: Path, **sections: Any) -> StudyConfig:
    values = {"name": "made", "data": str(data), "base": BASE, "n_trials": 2, "space": LR}
    rules = {"must_beat": ["champion", "popularity"]}
    return StudyConfig.model_validate({**values, "promotion": rules, **sections})


def study_in(folder: Path) -> Study:
    return load_named(open_storage(storage(folder)), "made")


def make_as_before(folder: Path, config: StudyConfig) -> Study:
    """A study as versions made it that neither clamped nor left out anything."""
    record = make_record(config, *load_data(config))
    study, _ = open_study(open_storage(storage(folder)), "made", record)
    return study


@pytest.mark.parametrize(
    "wrong",
    [
        {"space": {"dims": {"low": 8, "high": 16}}},
        {"space": LR, "base": {"lr": 100}},
        {"space": {"lr": {"low": 0.01, "high": 0.2, "when": {"cuts": 2}}}},
        {"space": LR, "warm_starts": [{"lr": 5}]},
    ],
)
def test_a_study_of_python_is_refused_in_the_words_of_a_file(
    tmp_path: Path, wrong: dict[str, Any]
) -> None:
    import tomli_w

    config = study_config(tmp_path / "nowhere.csv", **wrong)
    file = tmp_path / "study.toml"
    file.write_text(tomli_w.dumps(wrong))
    with pytest.raises(SettingsError) as in_file:
        load_study_config(file, {})
    with pytest.raises(SettingsError) as caught:
        launch(request(tmp_path, config))
    assert [f"{file}: {problem}" for problem in caught.value.problems] == [*in_file.value.problems]
    assert caught.value.exit_code == 2
    assert not (tmp_path / "optuna.db").exists()


def test_a_clamped_default_is_told_and_is_trial_0(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = study_config(shop(tmp_path), space={"dim": {"low": 16, "high": 32}, **LR})
    for _ in range(2):  # the second call goes on with the same study
        assert launch(request(tmp_path, config)) == 0
        out = capsys.readouterr().out
        assert "dim: default 8 clamped to 16, the nearest value in 16..32\n" in out
        assert "lr: default 0.003 clamped to 0.01, the nearest value in 0.01..0.2\n" in out
    study = study_in(tmp_path)
    assert study.trials[0].params == {"dim": 16, "lr": 0.01}
    assert StudyRecord.of(study).config.base["dim"] == 16


def test_a_study_that_was_made_with_its_default_outside_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = study_config(shop(tmp_path), space={"dim": {"low": 16, "high": 32}}, n_trials=1)
    make_as_before(tmp_path, config)
    assert launch(request(tmp_path, config)) == 0
    assert "clamped" not in capsys.readouterr().out
    study = study_in(tmp_path)
    assert (len(study.trials), study.trials[0].params) == (1, {"dim": 8})
    assert StudyRecord.of(study).changes == ()


IDLE = {
    "window_share": {"low": 0.2, "high": 1.0},
    "recency": {"low": 1.0, "high": 9.0},
    "feature_weight": {"low": 0.1, "high": 1.0},
}


def test_what_has_no_effect_on_the_data_is_not_searched_and_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    starts = [{"lr": 0.1, "window_share": 0.4}]
    config = study_config(shop(tmp_path, timed=False), space=IDLE | LR, warm_starts=starts)
    for _ in range(2):
        assert launch(request(tmp_path, config)) == 0
        out = capsys.readouterr().out
        line = "not searched, without effect on this data: "
        assert f"{line}window_share (the data has no times)\n" in out
        assert f"{line}recency (the data has no times)\n" in out
        assert f"{line}feature_weight (no features are used)\n" in out
    study = study_in(tmp_path)
    assert [trial.params for trial in study.trials] == [{"lr": 0.01}, {"lr": 0.1}]
    assert list(StudyRecord.of(study).config.space) == ["lr"]


def test_what_has_an_effect_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    space = {name: IDLE[name] for name in ("window_share", "recency")} | LR
    assert launch(request(tmp_path, study_config(shop(tmp_path), space=space))) == 0
    assert "without effect" not in capsys.readouterr().out
    assert set(study_in(tmp_path).trials[0].params) == set(space)


def test_a_condition_on_a_parameter_keeps_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lr = {"lr": {"low": 0.01, "high": 0.2, "when": {"recency": {"high": 5.0}}}}
    config = study_config(shop(tmp_path, timed=False), space=IDLE | lr)
    assert launch(request(tmp_path, config)) == 0
    assert "effect on this data: recency" not in capsys.readouterr().out
    assert list(StudyRecord.of(study_in(tmp_path)).config.space) == [
        "recency", "lr",
    ]  # fmt: skip


def test_a_study_that_searches_what_has_no_effect_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = study_config(shop(tmp_path, timed=False), space=IDLE | LR)
    make_as_before(tmp_path, config)
    assert launch(request(tmp_path, config)) == 0
    assert "without effect" not in capsys.readouterr().out
    study = study_in(tmp_path)
    assert StudyRecord.of(study).changes == ()
    assert all(set(trial.params) == {*IDLE, "lr"} for trial in study.trials)


def test_other_changes_of_a_study_are_still_refused(tmp_path: Path) -> None:
    data = shop(tmp_path)
    make_as_before(tmp_path, study_config(data, space={"dim": {"low": 4, "high": 32}}))
    narrow = study_config(data, space={"dim": {"low": 16, "high": 32}})
    with pytest.raises(StudyError, match=r"base\.dim: was 8, is 16"):
        launch(request(tmp_path, narrow))


def test_a_study_of_nothing_with_an_effect_is_refused(tmp_path: Path) -> None:
    space = {"feature_weight": IDLE["feature_weight"]}
    with pytest.raises(SettingsError) as caught:
        launch(request(tmp_path, study_config(shop(tmp_path), space=space)))
    assert "no parameter in it has an effect on this data: feature_weight (no features" in str(
        caught.value
    )
    assert caught.value.exit_code == 2
    assert not (tmp_path / "optuna.db").exists()


def untimed(n_items: int = 30) -> Interactions:
    """The conveyor without times, in a catalogue of that size."""
    return replace(conveyor(), times=None, item_ids=[f"i{i}" for i in range(n_items)])


NEXT_ITEM = {"split": {"method": "leave-one-out"}}
MADE_FOR = "is made for that"


@pytest.mark.parametrize(
    ("sections", "data", "file"),
    [
        (NEXT_ITEM, conveyor(), ["next_item"]),
        (NEXT_ITEM, untimed(), []),
        ({}, conveyor(), []),
        ({}, untimed(MAX_EASE_ITEMS + 1), ["sparse"]),
        ({}, untimed(MAX_EASE_ITEMS), []),
    ],
)
def test_a_new_study_is_told_of_the_file_for_its_kind_of_data(
    tmp_path: Path, sections: dict[str, Any], data: Interactions, file: list[str]
) -> None:
    config = study_config(tmp_path / "shop.csv", **sections)
    lines = adjust_to_data(config, data, None)[1]
    assert [line.split()[-5] for line in lines if line.endswith(MADE_FOR)] == file
    stored = make_record(config, "shop", conveyor_split())
    assert not any(MADE_FOR in line for line in adjust_to_data(config, data, stored)[1])


@pytest.mark.parametrize(
    ("name", "data"), [("next_item", conveyor()), ("sparse", untimed(MAX_EASE_ITEMS + 1))]
)
def test_a_study_of_the_right_file_is_told_nothing(name: str, data: Interactions) -> None:
    config = load_study_config(study_path(name), {})
    assert not any(MADE_FOR in line for line in adjust_to_data(config, data, None)[1])


def test_a_new_study_of_the_next_item_starts_with_defaults_for_it(tmp_path: Path) -> None:
    config, data = study_config(tmp_path / "shop.csv", **NEXT_ITEM), conveyor()
    adjusted, lines = adjust_to_data(config, data, None)
    suited = {"neighbours": 200, "reverse_weight": 0.6, "neighbour_weight": 5.0}
    assert adjusted.base == {**BASE, "lr": 0.01, **suited}  # lr: clamped into its range
    told = "defaults for the next item: neighbours 200, reverse_weight 0.6, neighbour_weight 5"
    assert told in lines
    parts = split(data, method="leave-one-out")
    older = make_record(config, "shop", parts)
    assert adjust_to_data(config, data, older)[0].base == BASE
    stored = make_record(adjusted, "shop", parts)
    grown = replace(data, item_ids=[f"i{i}" for i in range(10_001)])
    for rows, sections in (
        (data, {}),
        (grown, {}),
        (data, {"split": {"method": "temporal"}}),
        (data, {"space": {**LR, "reverse_weight": {"low": 0.0, "high": 1.0}}}),
        (data, {"base": {**BASE, "neighbours": 200}}),
    ):  # what --accept-changes allows, or what changes nothing
        changed = study_config(tmp_path / "shop.csv", **{**NEXT_ITEM, **sections})
        after, lines = adjust_to_data(changed, rows, stored)
        assert after.base == adjusted.base
        assert told not in lines
        again = make_record(after, "shop", conveyor_split())  # a temporal split by now
        assert adjust_to_data(changed, rows, again)[0].base == adjusted.base
    seventy = study_config(tmp_path / "shop.csv", base={**BASE, "neighbours": 77})
    own = make_record(seventy, "shop", parts)
    assert adjust_to_data(config, data, own)[0].base == BASE


@pytest.mark.parametrize(
    ("sections", "data"),
    [
        ({"base": {**BASE, "neighbours": 30}}, conveyor()),
        ({"space": {**LR, "reverse_weight": {"low": 0.0, "high": 1.0}}}, conveyor()),
        ({"split": {"method": "temporal"}}, conveyor()),
        ({"base": {**BASE, "neighbour_weight": 0}}, conveyor()),
        ({"constraints": {"model_mb": 100}}, conveyor()),
        ({}, untimed()),
        ({}, replace(conveyor(), item_ids=[f"i{i}" for i in range(10_001)])),
    ],
)
def test_other_studies_keep_their_defaults(
    tmp_path: Path, sections: dict[str, Any], data: Interactions
) -> None:
    config = study_config(tmp_path / "shop.csv", **{**NEXT_ITEM, **sections})
    assert adjust_to_data(config, data, None)[0].base == {**config.base, "lr": 0.01}


def test_a_study_of_the_next_item_goes_on(tmp_path: Path) -> None:
    config = study_config(shop(tmp_path), **NEXT_ITEM)
    assert launch(request(tmp_path, config)) == 0
    assert launch(request(tmp_path, config.model_copy(update={"n_trials": 3}))) == 0
    study = load_named(open_storage(storage(tmp_path)), "made")
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 3
    assert StudyRecord.of(study).config.base["neighbours"] == 200


def test_a_trial_of_another_program_stands_in_the_way_of_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = study_config(shop(tmp_path), n_trials=3, constraints={"model_mb": 100})
    study = make_as_before(tmp_path, config)
    params, distributions = {"foo": 0.5}, {"foo": FloatDistribution(0, 1)}
    study.add_trial(create_trial(value=0.9, params=params, distributions=distributions))
    study.add_trial(create_trial(value=0.8))
    assert launch(request(tmp_path, config)) == 0
    assert "3 of 3 trials finished" in capsys.readouterr().out
    where = ["--storage", storage(tmp_path)]
    assert status.main(where) == 0
    assert "3 of 3 trials finished" in capsys.readouterr().out
    assert [row.number for row in read_trials(study) if row.is_default] == [0]
