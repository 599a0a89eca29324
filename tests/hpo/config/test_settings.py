"""Study files: every mistake named, at once, with what is allowed."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import optuna
import pytest
from pydantic import ValidationError

from hpo.config.locations import Locations
from hpo.config.override import Override
from hpo.config.search_space import (
    SearchSpace,
    clamped_defaults,
    clamped_lines,
    with_defaults,
)
from hpo.config.study_config import StudyConfig
from hpo.config.toml_file import default_name, dump_study_config, load_study_config
from hpo.errors import SettingsError
from hpo.run import main
from hpo.study.data import load_data
from recsys.datasets.registry import load_dataset
from recsys.errors import DataError
from tests.support.commands import ROOT

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


SPACE = """
[space]
cuts = { low = 1, high = 3 }
dim = { low = 16, high = 256 }
negatives = { choices = [1000, 5000], when = { cuts = { low = 2 }, dim = [16, 32] } }
"""


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("mix = { low = 0, high = 1, when = { lr = { low = 1 } } }", "when.lr: is not searched"),
        ("mix = { low = 0, high = 1, when = { cuts = [3, 4] } }", "cuts is never 4; it is 1..3"),
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


def override(tmp_path: Path, *texts: str, **options: object) -> StudyConfig:
    path = tmp_path / "study.toml"
    path.write_text(GOOD, encoding="utf-8")
    return load_study_config(path, options, [Override.parse(text) for text in texts])


def test_set_reaches_every_key(tmp_path: Path) -> None:
    config = override(
        tmp_path,
        "space.dim.high=100", "base.lr=0.01", "pruner.name=none", "description=two words",
        "data.user_col=who", 'tags."a.b"=c', "space.mix={ low = 0.1, high = 1 }",
        "constraints.model_mb=50", "n_trials=3", "n_trials=7",
    )  # fmt: skip
    assert (config.space["dim"].high, config.space["dim"].low) == (100, 16)
    assert config.train_config.lr == 0.01
    assert (config.pruner.name, config.description) == ("none", "two words")
    assert (config.data.source, config.data.user_col) == ("demo", "who")
    assert config.tags == {"a.b": "c"}
    assert config.space["mix"].values == (0.1, 1)
    assert (config.constraints.model_mb, config.n_trials) == (50, 7)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "space.dim.hihg=1",
            "--set space.dim.hihg=1: space.dim.hihg: unknown key; did you mean high?; known: low",
        ),
        ("sampler.name=magic", "--set sampler.name=magic: sampler.name: must be 'tpe'"),
        ("base.lr=100", "--set base.lr=100: base.lr: must be 1e-07..10 (given: 100)"),
        ("space.dim.low=300", "--set space.dim.low=300: space.dim: low=300 must be below"),
        ("data.source.x=1", "--set data.source.x=1: data.source is no table"),
    ],
)
def test_what_set_gets_wrong_names_the_option(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(SettingsError) as caught:
        override(tmp_path, text)
    assert expected in str(caught.value)


@pytest.mark.parametrize("text", ["", "=1", "n_trials", "a b=1", "a..b=1"])
def test_set_without_a_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="give KEY=VALUE"):
        Override.parse(text)


def test_what_is_printed_loads_as_the_same_study(tmp_path: Path) -> None:
    text = f"""
    timeout = 1.5
    {SPACE}
    mix = {{ low = 0.0, high = 1.4, step = 0.35, when = {{ cuts = 2 }} }}
    lr = {{ low = 1e-3, high = 1e-2, log = true }}
    [[warm_starts]]
    cuts = 2
    dim = 16
    negatives = 5000
    [constraints]
    model_mb = 50
    [tags]
    "a b" = 'c"d'
    """
    config = load(tmp_path, text).with_whole_base()
    printed = dump_study_config(config)
    assert load(tmp_path, printed) == config
    assert dump_study_config(load(tmp_path, printed)) == printed
    assert "high = 256\n" in printed  # a whole number stays one


@pytest.mark.parametrize("source", ["ml-100k", "my.shop.csv.gz", "folder.d", "deep/events.csv"])
def test_the_default_name_is_that_of_the_file_and_its_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.d").mkdir()
    (tmp_path / "deep").mkdir()
    rows = "user_id,item_id\na,x\nb,y\n"
    for name in ("my.shop.csv.gz", "folder.d/interactions.csv", "deep/events.csv"):
        (tmp_path / name).write_text(rows)
    data = source if source == "ml-100k" else load_dataset(source).name
    config = load(tmp_path, GOOD.replace("demo", source))
    assert default_name(tmp_path / "study.toml", config) == f"study-{data}"
    assert default_name(Path("x.toml"), config.model_copy(update={"name": "n"})) == "n"


def test_a_printed_study_has_its_name_and_its_own_options_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "first.toml").write_text(GOOD + '[pruner]\nname = "none"\n', encoding="utf-8")
    assert main(["--study", str(tmp_path / "first.toml"), "--print-config"]) == 0
    printed = tomllib.loads(capsys.readouterr().out)
    assert (printed["name"], printed["pruner"]) == ("first-demo", {"name": "none"})
    assert printed["sampler"] == {"name": "tpe", "startup": 10, "multivariate": False}


def test_another_kind_drops_the_options_of_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text(GOOD + '[pruner]\nname = "median"\nstartup = 3\nwarmup = 2\n')
    sets = [Override.parse(text) for text in ("pruner.name=asha", "pruner.reduction=4")]
    pruner = load_study_config(path, {}, sets).pruner
    assert pruner.options == {"warmup": 2, "reduction": 4}
    assert load_study_config(path, {}, [Override.parse("pruner.name=none")]).pruner.options == {}
    sets.append(Override.parse("pruner.keep=5"))
    with pytest.raises(SettingsError, match="asha has no option keep"):
        load_study_config(path, {}, sets)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--eval-users", "0"], "--eval-users 0: must be at least 1"),
        (["--n-trials", "0"], "--n-trials 0: must be at least 1"),
        (["--workers", "0"], "--workers 0: must be at least 1"),
        (["--timeout", "0"], "--timeout 0.0: must be above 0"),
        (["--seed", "-1"], "--seed -1: must be at least 0"),
        (["--study-name", ""], "--study-name '': must not be empty"),
        (["--tag", "hpo.x=1"], "--tag: 'hpo.x': tags that begin with"),
        (["--set", "n_trials=0", "--seed", "-1"], "--set n_trials=0: n_trials: must be at least"),
        (["--set", "split=3", "--split", "temporal"], "--set split=3: split: must be a table"),
        (["--set", "data=5", "--data", "demo"], "--set data=5: data: must be a table"),
        (["--set", "tags=x", "--tag", "a=b"], "--set tags=x: tags: must be a table"),
        (["--set", "pruner.name={a=1}"], "--set pruner.name={a=1}: pruner.name: must be 'none'"),
    ],
)
def test_a_wrong_option_is_blamed_itself(tmp_path: Path, options: list[str], expected: str) -> None:
    (tmp_path / "study.toml").write_text(GOOD, encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        main(["--study", str(tmp_path / "study.toml"), *options, "--print-config"])
    assert str(caught.value).startswith(expected)


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


def test_a_printed_study_needs_no_torch_and_no_optuna(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text(GOOD, encoding="utf-8")
    check = (
        "import sys; from hpo.run import main;"
        f"code = main(['--study', {str(path)!r}, '--set', 'base.lr=0.01', '--print-config']);"
        "sys.exit(code or bool({'torch', 'optuna', 'mlflow', 'polars'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "lr = 0.01" in result.stdout


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
