"""`--set` reaches every key of a study, and a study that is printed loads as the same one."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from hpo.config.override import Override
from hpo.config.search_space import ADJUSTED
from hpo.config.toml_file import default_name, dump_study_config, load_study_config
from hpo.errors import SettingsError
from hpo.run import main
from recsys.datasets.registry import load_dataset
from tests.support.commands import ROOT
from tests.support.study_files import GOOD, SPACE, load, override


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


def test_settings_of_a_program_stay_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text(GOOD, encoding="utf-8")
    dim: dict[str, object] = {"low": 16, "high": 64}
    settings = [Override(("space", "dim"), dim, ""), Override(("space", "dim", "high"), 32, "")]
    assert load_study_config(path, {}, settings).space["dim"].high == 32
    assert dim == {"low": 16, "high": 64}


def test_wrong_warm_starts_of_a_program_are_told_whatever_their_list_is(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text(GOOD, encoding="utf-8")
    starts = Override(("warm_starts",), ({"dim": "many"}, {"dim": 500}), "warm_starts")
    with pytest.raises(SettingsError) as caught:
        load_study_config(path, {}, [starts])
    assert [problem.partition(": ")[2] for problem in caught.value.problems] == [
        "warm_starts.0.dim: must be a number (given: 'many')",
        "warm_starts.1.dim: 500 is not in 16..128",
    ]


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


def test_what_a_device_or_data_decide_is_not_spelled_out(tmp_path: Path) -> None:
    open_one = load(tmp_path, SPACE)
    printed = dump_study_config(open_one)
    assert "temperature = 0.16" in printed
    assert load(tmp_path, printed).base.keys() & ADJUSTED == set()
    given = load(tmp_path, f"[base]\nbatch_size = 128\n[base_on_gpu]\ndim = 64\n{SPACE}")
    again = load(tmp_path, dump_study_config(given))
    assert again.base.keys() & ADJUSTED == {"batch_size"}
    assert again.base_on_gpu == {"dim": 64}


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


def test_a_study_printed_into_a_file_is_utf_8_whatever_the_locale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "study.toml").write_text(f'description = "née Ж"\n{GOOD}', encoding="utf-8")
    printed = tmp_path / "printed.toml"
    with printed.open("w", encoding="cp1252") as file:
        monkeypatch.setattr(sys, "stdout", file)
        assert main(["--study", str(tmp_path / "study.toml"), "--print-config"]) == 0
    assert load_study_config(printed, {}).description == "née Ж"


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
        (["--study-name", "x" * 251], f"--study-name {'x' * 251}: must have at most 250"),
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
