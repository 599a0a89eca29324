"""A study with side features, from the outside; nobody's name gets anywhere."""

from __future__ import annotations

from pathlib import Path

from hpo.study.records import StudyRecord
from tests.e2e.test_feature_command import leaks, shop
from tests.support.commands import run, study_file, study_in


def test_features_reach_workers_and_the_promoted_model(tmp_path: Path) -> None:
    data = tmp_path / "shop"
    data.mkdir()
    toml = study_file(shop(data), epochs=2, n_trials=2)
    flags = ["--item-features", "shelf", "--user-features", "zone"]
    call = ["--data", data, "--study", toml, "--workers", 1]
    code, out, err = run("hpo.run", *call, *flags, "--promote", cwd=tmp_path)
    assert code in (0, 1), err  # whether so small a model passes the gate is not the question
    assert "2 of 2 trials finished (2 complete)" in out
    assert "features of items: shelf\nfeatures of users: zone\n" in out
    assert not leaks(out + err)
    files = [path for path in tmp_path.rglob("*") if path.is_file() and data not in path.parents]
    assert any(path.name == "weights.safetensors" for path in files)
    assert not [path for path in files if leaks(path.read_bytes().decode("latin-1"))]
    record = StudyRecord.of(study_in(tmp_path))  # SQLite's side files come and go with it
    assert record.config.data.item_features == ("shelf",)

    code, _, err = run("hpo.run", *call, cwd=tmp_path)
    assert code == 2
    assert "item features: was shelf, is none" in err
