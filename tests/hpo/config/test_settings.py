"""Study files: every mistake named, at once, with what is allowed."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import jsonschema
import pytest
from pydantic import ValidationError

from hpo.config.json_schema import schema
from hpo.config.locations import Locations
from hpo.config.study_config import StudyConfig
from hpo.config.toml_file import load_study_config
from hpo.errors import SettingsError
from hpo.study.data import load_data
from recsys.errors import DataError
from tests.support.study_files import GOOD, SPACE, load, override


def test_a_good_file_and_options_over_it(tmp_path: Path) -> None:
    config = load(tmp_path, GOOD, n_trials=7, seed=None, data={"user_col": "who"})
    assert (config.n_trials, config.seed) == (7, 0)
    assert (config.data.source, config.data.user_col) == ("demo", "who")
    assert config.train_config.dim == 64
    assert isinstance(config.train_config.dim, int)


def test_options_of_the_split_go_over_those_of_the_file(tmp_path: Path) -> None:
    text = GOOD + '[split]\nmethod = "random"\neval_users = 1000\n'
    split = load(tmp_path, text, split={"method": "leave-one-out"}).split
    assert (split.method, split.eval_users, split.fraction) == ("leave-one-out", 1000, 0.2)
    assert load(tmp_path, GOOD).split.method is None  # as the data comes


def test_options_of_the_data_go_over_a_name_that_was_set(tmp_path: Path) -> None:
    data = override(tmp_path, "data=shop.csv", data={"user_col": "who"}).data
    assert (data.source, data.user_col) == ("shop.csv", "who")


def test_features_come_from_the_file_or_from_options(tmp_path: Path) -> None:
    text = 'n_trials = 3\n[data]\nitem_features = ["genres", "year:number"]\n'
    text += "[space]\ndim = { low = 16, high = 128 }\n"
    config = load(tmp_path, text)
    assert config.data.item_features == ("genres", "year:number")
    assert config.data.user_features == ()
    config = load(tmp_path, text, data={"item_features": (), "user_features": ("age",)})
    assert (config.data.item_features, config.data.user_features) == ((), ("age",))


def test_five_mistakes_are_five_lines(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load(
            tmp_path,
            """
            n_trials = 0
            trials = 3
            [sampler]
            name = "magic"
            [space]
            dim = { low = 16, high = 8 }
            lr = { low = 0, high = 1, log = true }
            """,
        )
    text = "\n".join(caught.value.problems)
    assert len(caught.value.problems) == 5
    for part in (
        "n_trials",
        "trials: unknown key; did you mean n_trials?; known: name, data,",
        "sampler.name",
        "'tpe'",
        "space.dim: low=16 must be below high=8",
        "space.lr: low=0 must be > 0 with log",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("min_gain = -0.1", "promotion.min_gain: must be at least 0 (given: -0.1)"),
        ("min_gain = 1", "must be below 1 (given: 1)"),
        ("must_beat = []", "promotion.must_beat: must have at least 1"),
        ('must_beat = ["default"]', "'champion', 'popularity', 'itemknn', 'rp3beta' or 'ease'"),
        ("max_model_mb = 0", "promotion.max_model_mb: must be above 0 (given: 0)"),
        ("max_latency_ms = nan", "promotion.max_latency_ms: must be above 0 (given: nan)"),
        (
            "min_gian = 0.1",
            "promotion.min_gian: unknown key; did you mean min_gain?; known: min",
        ),
    ],
)
def test_rules_of_the_gate(tmp_path: Path, line: str, expected: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, f"{GOOD}\n[promotion]\n{line}\n")
    assert expected in str(caught.value)


def test_a_missing_file_lists_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text("", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"no such study file; .*other\.toml"):
        load_study_config(tmp_path / "study.toml", {})


def test_broken_toml_says_where(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="line 2"):
        load(tmp_path, "a = 1\nb = = 2\n")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("n_trials = true", "n_trials: must be a whole number (given: true)"),
        ('seed = "7"', "seed: must be a whole number (given: '7')"),
        ("workers = true", "workers: must be a whole number (given: true)"),
        ('timeout = "60"', "timeout: must be a number (given: '60')"),
        ('base = { lr = "1" }', "base.lr: must be a number (given: '1')"),
        ("warm_starts = [{ dim = true }]", "warm_starts.0.dim: must be a number (given: true)"),
        ("split.fraction = '0.2'", "split.fraction: must be a number (given: '0.2')"),
        ("data.header = 'no'", "data.header: must be true or false (given: 'no')"),
        ("sampler.multivariate = 1", "sampler.multivariate: must be true or false (given: 1)"),
        ("metrics.cutoffs = [true]", "metrics.cutoffs.0: must be a whole number (given: true)"),
        ("constraints.mrr.min = '1'", "constraints.mrr.min: must be a number (given: '1')"),
        ("space.lr = { low = '1', high = 2 }", "space.lr.low: must be a number (given: '1')"),
        (
            "space.lr = { choices = [true, 2] }",
            "space.lr.choices.0: must be a number (given: true)",
        ),
        (
            "space.lr = { low = 1, high = 2, log = 'yes' }",
            "space.lr.log: must be true or false (given: 'yes')",
        ),
        (
            "space.lr = { low = 1, high = 2, when = { dim = true } }",
            "space.lr.when.dim.choices.0: must be a number (given: true)",
        ),
    ],
)
def test_a_value_of_another_kind_is_not_taken_for_one(
    tmp_path: Path, text: str, expected: str
) -> None:
    file = f"{text}\n[space.dim]\nlow = 16\nhigh = 128\n"
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, file)
    assert [problem.partition(": ")[2] for problem in caught.value.problems] == [expected]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(tomllib.loads(file), schema())


def test_whole_numbers_may_be_written_with_a_point_and_stored_studies_come_back(
    tmp_path: Path,
) -> None:
    config = load(tmp_path, GOOD.replace("data =", "n_trials = 3.0\nworkers = 2\ndata ="))
    assert isinstance(config, StudyConfig)
    assert (config.n_trials, config.workers) == (3, 2)
    stored = json.loads(config.model_dump_json())
    assert StudyConfig.model_validate(stored) == config


def test_a_file_of_notepad_is_read(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text(GOOD, encoding="utf-8-sig")
    assert load_study_config(path, {}) == override(tmp_path)


def test_a_file_in_utf_16_is_answered_with_the_cure(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text(GOOD, encoding="utf-16")
    with pytest.raises(SettingsError, match=r"study\.toml: is not UTF-8 .*; save it as UTF-8"):
        load_study_config(path, {})


def test_options_beat_the_environment_which_beats_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert Locations.resolve(None, None).tracking_uri == "sqlite:///studies/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert Locations.resolve(None, None).tracking_uri == "http://127.0.0.1:5000"
    assert Locations.resolve(None, "sqlite:///x.db").tracking_uri == "sqlite:///x.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    assert Locations.resolve(None, None).tracking_uri == "sqlite:///studies/mlflow.db"


def test_empty_options_are_no_defaults() -> None:
    with pytest.raises(SettingsError) as caught:
        Locations.resolve("", " ", "")
    assert [problem.partition(" is empty")[0] for problem in caught.value.problems] == [
        "--storage", "--tracking-uri", "--experiment-name",
    ]  # fmt: skip


def test_mistakes_in_and_among_keys_are_told_together(tmp_path: Path) -> None:
    """The acceptance line of the study engine: five mistakes, five lines."""
    text = f"""
    trials = 3
    [sampler]
    name = "magic"
    {SPACE}
    lr = {{ low = 0.1, high = 0.01 }}
    mix = {{ low = 0, high = 1, when = {{ cuts = [4] }} }}
    recency = {{ low = 1, high = 6, when = {{ lr = {{ low = 0.05 }} }} }}
    [[warm_starts]]
    dim = 300
    lr = 0.05
    recency = 2
    """
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, text)
    found = str(caught.value)
    assert len(caught.value.problems) == 5, found
    for part in (
        "trials: unknown key; did you mean n_trials?; known: name, data",
        "sampler.name: must be 'tpe'",
        "space.lr: low=0.1 must be below high=0.01",
        "space.mix.when.cuts: cuts is never 4; it is 1..3",
        "warm_starts.0.dim: 300 is not in 16..256",
    ):
        assert part in found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("n_trials = 3", ["space: is missing"]),
        ("[space]", ["space: must have at least 1"]),
        ('n_trials = "x"\n[space]\ndim = 3', ["space.dim: must be a table of keys (given: 3)",
                                              "n_trials: must be a whole number (given: 'x')"]),
        (GOOD + '[promotion]\nmust_beat = ["foo"]', ["promotion.must_beat.0: must be 'champion',"]),
    ],
)  # fmt: skip
def test_the_words_are_ours(tmp_path: Path, text: str, expected: list[str]) -> None:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, text)
    assert len(caught.value.problems) == len(expected)
    for part, problem in zip(expected, caught.value.problems, strict=True):
        assert part in problem


@pytest.mark.parametrize("key", ["a@b", "a//b", "../b", "x" * 251, ""])
def test_a_tag_that_mlflow_refuses_is_refused_at_the_start(key: str) -> None:
    with pytest.raises(ValidationError, match="MLflow takes no tag"):
        StudyConfig.model_validate({"space": {"dim": {"low": 8, "high": 16}}, "tags": {key: "1"}})


@pytest.mark.parametrize("key", ["hpo.sampler", "mlflow.user", "optuna.trial", "env.torch"])
def test_tags_of_our_own_are_not_for_users(key: str) -> None:
    with pytest.raises(ValidationError, match="are written by hpo and MLflow"):
        StudyConfig.model_validate({"space": {"dim": {"low": 8, "high": 16}}, "tags": {key: "1"}})


def test_more_than_a_million_trials_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="--n-trials 1000001: must be at most 1000000"):
        load(tmp_path, GOOD, n_trials=1_000_001)
    with pytest.raises(SettingsError, match="at most 1000000"):
        load(tmp_path, GOOD, n_trials=10**30)


def test_a_name_in_letters_that_the_locale_lacks_has_our_words(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="holds letters that this locale cannot read"):
        load(tmp_path, GOOD, name="\udcc3\udcb1")


def test_data_too_small_to_split_is_named(tmp_path: Path) -> None:
    file = tmp_path / "tiny.csv"
    file.write_text("user_id,item_id\n1,1\n2,2\n")
    config = StudyConfig.model_validate(
        {"data": str(file), "space": {"dim": {"low": 8, "high": 16}}}
    )
    with pytest.raises(DataError, match="nothing to hold out") as error:
        load_data(config)
    assert str(error.value).startswith(f"{file}: ")
