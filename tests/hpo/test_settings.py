"""Study files: every mistake named, at once, with what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpo.errors import SettingsError
from hpo.settings import Places
from hpo.study_file import load_study_config

GOOD = """
data = "demo"
[base]
dim = 64
[space]
dim = { low = 16, high = 128, log = true }
batch_size = { choices = [64, 128] }
"""


def load(tmp_path: Path, text: str, **overrides: object) -> object:
    path = tmp_path / "study.toml"
    path.write_text(text, encoding="utf-8")
    return load_study_config(path, overrides)


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
        "trials: unknown key; known: name, data,",
        "sampler.name",
        "'tpe'",
        "space.dim: low=16 must be below high=8",
        "space.lr: low=0 must be > 0 with log",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("space", "expected"),
    [
        ("dimm = { low = 1, high = 2 }", "no such hyperparameter; known: dim, lr"),
        ("seed = { low = 1, high = 2 }", "no such hyperparameter"),
        ("dim = { low = 0, high = 200 }", "0 is out of range: 1..4096"),
        ("dim = { low = 1.5, high = 200 }", "whole numbers"),
        ("dim = { low = 1, high = 8 }", "the default 128 lies outside"),
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
    ("line", "expected"),
    [
        ("min_gain = -0.1", "promotion.min_gain: Input should be greater than or equal to 0"),
        ("min_gain = 1", "less than 1 (given: 1)"),
        ("must_beat = []", "promotion.must_beat: Tuple should have at least 1 item"),
        ('must_beat = ["default"]', "'champion', 'popularity', 'itemknn' or 'ease'"),
        ("max_model_mb = 0", "promotion.max_model_mb: Input should be greater than 0 (given: 0)"),
        ("max_latency_ms = nan", "promotion.max_latency_ms: Input should be greater than 0"),
        ("min_gian = 0.1", "promotion.min_gian: unknown key; known: min_gain, must_beat, max_"),
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


def test_options_beat_the_environment_which_beats_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert Places.resolve(None, None).tracking_uri == "sqlite:///studies/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert Places.resolve(None, None).tracking_uri == "http://127.0.0.1:5000"
    assert Places.resolve(None, "sqlite:///x.db").tracking_uri == "sqlite:///x.db"
