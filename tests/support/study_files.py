"""Study files that tests write and load."""

from __future__ import annotations

from pathlib import Path

from hpo.config.override import Override
from hpo.config.study_config import StudyConfig
from hpo.config.toml_file import load_study_config

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


SPACE = """
[space]
cuts = { low = 1, high = 3 }
dim = { low = 16, high = 256 }
negatives = { choices = [1000, 5000], when = { cuts = { low = 2 }, dim = [16, 32] } }
"""


def override(tmp_path: Path, *texts: str, **options: object) -> StudyConfig:
    path = tmp_path / "study.toml"
    path.write_text(GOOD, encoding="utf-8")
    return load_study_config(path, options, [Override.parse(text) for text in texts])
