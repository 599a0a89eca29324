"""A model of the user's own is found by its name, and told all that it lacks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hpo.config.study_config import StudyConfig
from hpo.config.toml_file import dump_study_config, load_study_config
from hpo.errors import SettingsError
from hpo.trainables.loading import hyperparameters_of, load_trainable, reference_to
from recsys.config import TrainConfig
from tests.support.own_model import Popular, PopularConfig

POPULAR = "tests.support.own_model:Popular"
HEAD = """
from __future__ import annotations
from dataclasses import dataclass
from recsys import Hyperparameters, within

@dataclass(frozen=True)
class Config(Hyperparameters):
    size: int = within(8, low=1, high=64)
    epochs: int = within(3, low=1, high=9)
    seed: int = within(0, low=0, high=9)

"""
NEVER_GOOD = """
    def __post_init__(self):
        raise ValueError("never good")

class Mine:
    config = Config
    def epochs(self, holdout, config): ...
"""
NEEDS_SIZE = """
class Mine:
    config = Config
    def __init__(self, size): ...
    def epochs(self, holdout, config): ...
"""


def study(folder: Path, text: str, **options: Any) -> StudyConfig:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return load_study_config(path, options)


def test_no_name_means_the_two_tower() -> None:
    assert hyperparameters_of(None) is TrainConfig
    assert hyperparameters_of(POPULAR) is PopularConfig
    assert isinstance(load_trainable(POPULAR), Popular)


def test_a_class_has_a_name_that_workers_can_import() -> None:
    assert reference_to(Popular) == reference_to(POPULAR) == POPULAR

    class Inside:
        pass

    with pytest.raises(SettingsError, match=r"defined in a function, .* into a file, .*inside\.py"):
        reference_to(Inside)
    Inside.__module__, Inside.__qualname__ = "__main__", "Inside"
    with pytest.raises(SettingsError, match="defined in a notebook or the started script"):
        reference_to(Inside)
    with pytest.raises(SettingsError, match="is no class; give the class itself"):
        reference_to(Popular())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("reference", "told"),
    [
        ("Popular", "names no class; give package.module:Class"),
        ("no.such:Popular", "there is no module no to import; run the command in the folder"),
        ("tests.support.none:X", r"no module tests\.support\.none to import"),
        ("tests.support.own_model:Popula", "has no Popula; its classes: PopularConfig, .*Popular,"),
        ("tests.support.own_model:counts", "is no class"),
        ("tests.support.own_model:Counts", "has no method epochs.*\n.*no class attribute config"),
    ],
)
def test_what_cannot_be_loaded_is_told_with_the_cure(reference: str, told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        load_trainable(reference)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("1 / 0", "importing broken0 failed: ZeroDivisionError"),
        ("import not_installed_anywhere", "importing broken1 failed: No module named"),
        (
            HEAD.replace("size: int", "size_: int") + NEEDS_SIZE,
            "must be made without arguments",
        ),
        (
            HEAD.replace("    seed: int = within(0, low=0, high=9)\n", "")
            + "class Mine:\n    config = Config\n    def epochs(self, holdout, config): ...\n",
            "config lacks seed",
        ),
        (
            HEAD.replace("within(8, low=1, high=64)", "8")
            + "class Mine:\n    config = Config\n    def epochs(self, holdout, config): ...\n",
            "config.size must be an int or a float with a default and a range",
        ),
        (
            HEAD.replace("within(8,", "within(80,")
            + "class Mine:\n    config = Config\n    def epochs(self, holdout, config): ...\n",
            r"its defaults are refused: size=80: must be 1\.\.64",
        ),
        (
            HEAD + NEVER_GOOD,
            "its defaults are refused by Config: ValueError: never good",
        ),
    ],
)
def test_a_broken_module_is_told(
    body: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: Any
) -> None:
    name = f"broken{request.node.callspec.indices['body']}"
    (tmp_path / f"{name}.py").write_text(body, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SettingsError, match=told):
        load_trainable(f"{name}:Mine")


def test_a_module_in_the_current_folder_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = f"{HEAD}class Mine:\n    config = Config\n    def epochs(self, holdout, config): ...\n"
    (tmp_path / "byo_in_cwd.py").write_text(body, encoding="utf-8")
    monkeypatch.setattr("sys.path", [str(Path(__file__).parents[3])])
    monkeypatch.chdir(tmp_path)
    assert hyperparameters_of("byo_in_cwd:Mine").names() == ("size", "epochs", "seed")


def test_a_study_file_is_checked_against_the_model(tmp_path: Path) -> None:
    config = study(
        tmp_path,
        f'trainable = "{POPULAR}"\nbase = {{ epochs = 4.0 }}\nwarm_starts = [{{ noise = 1 }}]\n'
        "[space]\nnoise = { low = 0.0, high = 2 }\nsteps = { low = 1, high = 4 }\n",
    )
    assert config.train_config == PopularConfig(epochs=4)
    text = dump_study_config(config)
    (tmp_path / "again.toml").write_text(text, encoding="utf-8")
    again = load_study_config(tmp_path / "again.toml", {})
    assert again.train_config == config.train_config
    assert (again.space, again.trainable) == (config.space, POPULAR)
    with pytest.raises(SettingsError) as caught:
        study(
            tmp_path,
            f'trainable = "{POPULAR}"\nbase = {{ dim = 8, noise = 11 }}\n'
            "constraints = { model_mb = 5 }\n"
            "[space]\nlr = { low = 1e-3, high = 1 }\nsteps = { low = 1.5, high = 99 }\n",
        )
    assert [line.partition(": ")[2] for line in caught.value.problems] == [
        f"constraints.model_mb: measures the tensors of two-towers, not {POPULAR}; leave it out",
        "base.dim: no such hyperparameter; known: noise, steps, epochs, seed",
        "base.noise: must be 0..10 (given: 11)",
        "space.lr: no such hyperparameter; known: noise, steps, epochs",
        "space.steps: 99 is out of range: 1..8 is allowed",
        "space.steps: takes whole numbers only",
    ]
    with pytest.raises(SettingsError, match="trainable: .*its classes"):
        study(
            tmp_path,
            'trainable = "tests.support.own_model:None"\n[space]\nnoise = { low = 0, high = 1 }\n',
        )


ORDERED, BLUNT = "tests.support.strict_model:Ordered", "tests.support.strict_model:Blunt"


def test_a_base_is_checked_as_a_whole_not_value_by_value(tmp_path: Path) -> None:
    space = "[space]\nnoise = { low = 0, high = 2 }\n"
    for name in (ORDERED, BLUNT):
        text = f'trainable = "{name}"\nbase = {{ steps = 6, most = 7 }}\n{space}'
        assert study(tmp_path, text).base == {"steps": 6, "most": 7}


@pytest.mark.parametrize(
    ("name", "why"),
    [
        (ORDERED, "OrderedConfig refuses it: steps=6: must be at most most=5"),
        (BLUNT, "BluntConfig refuses it: ValueError: too many steps"),
    ],
)
def test_a_rule_across_values_is_told_with_its_class(tmp_path: Path, name: str, why: str) -> None:
    head = f'trainable = "{name}"\n'
    base = "base = { steps = 6, most = 5 }\n[space]\nnoise = { low = 0, high = 2 }\n"
    with pytest.raises(SettingsError) as caught:
        study(tmp_path, head + base)
    assert list(caught.value.problems) == [f"{tmp_path / 'mine.toml'}: base: {why}"]
    start = "warm_starts = [{ steps = 6, most = 5 }]\n"
    space = "[space]\nsteps = { low = 1, high = 8 }\nmost = { low = 1, high = 8 }\n"
    with pytest.raises(SettingsError) as caught:
        study(tmp_path, head + start + space)
    assert list(caught.value.problems) == [
        f"{tmp_path / 'mine.toml'}: warm_starts.0.steps, most: {why}"
    ]


def test_a_base_that_breaks_a_rule_once_it_is_clamped_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"base: clamped to \[space\] \(steps = 5\), Ordered"):
        study(tmp_path, f'trainable = "{ORDERED}"\n[space]\nsteps = {{ low = 5, high = 8 }}\n')


def test_reading_a_study_file_makes_the_model_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = list[Popular]()

    def remember(one: Popular) -> None:
        made.append(one)

    monkeypatch.setattr(Popular, "__init__", remember)
    text = f'trainable = "{POPULAR}"\n[space]\nnoise = {{ low = 0, high = 2 }}\n'
    monkeypatch.setattr("hpo.trainables.loading._MADE", {}, raising=False)
    study(tmp_path, text)
    assert len(made) == 1
    assert load_trainable(POPULAR) is not load_trainable(POPULAR)


def test_a_class_that_has_changed_is_checked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    assert hyperparameters_of(POPULAR) is PopularConfig
    monkeypatch.setattr(Popular, "config", TrainConfig)
    assert hyperparameters_of(POPULAR) is TrainConfig
    monkeypatch.setattr(Popular, "config", None)
    with pytest.raises(SettingsError, match="has no class attribute config"):
        hyperparameters_of(POPULAR)
