"""A study tells its receivers how it ended, and keeps their secrets out of all that it stores."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from hpo import StudyResult, TrialEnd
from hpo.config.study_config import StudyConfig
from hpo.notices.delivery import stored_receivers
from hpo.promotion.promote import promote_study
from hpo.study.records import StudyRecord
from tests.support.commands import run, shop, study_file
from tests.support.promoting import QUICK, real
from tests.support.real_study import RealStudy
from tests.support.tuning import tune_here
from tests.support.webhook import listening

__all__ = ["real"]
SECRET = "hush-7f3a"


def tune(folder: Path, url: str, **arguments: Any) -> StudyResult:
    return tune_here(folder, **{"verbose": False, "settings": {"notify.url": url}, **arguments})


def test_a_finished_study_is_told_once_and_continues_with_other_receivers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK_TOKEN", SECRET)
    with listening() as hook:
        result = tune(tmp_path, f"{hook.url}/$HOOK_TOKEN", n_trials=2)
        (message,) = hook.messages
        assert hook.requests[0][0] == f"/{SECRET}"
        assert {name: message[name] for name in ("event", "study", "state", "objective")} == {
            "event": "finished",
            "study": "tiny-interactions",
            "state": "complete",
            "objective": "recall_at_10",
        }
        assert (message["n_finished"], message["n_trials"]) == (2, 2)
        assert message["best"]["trial"] == result.best_trial
        assert message["best"]["value"] == result.best_value
        assert set(message["best"]["params"]) == {"dim", "lr"}
        assert message["text"].startswith("study tiny-interactions: 2 of 2 trials finished; best ")
        assert message["next"].startswith("python -m hpo.promote --study-name tiny-interactions ")
        assert set(message["links"]) == {"dashboard"}

        tune(tmp_path, f"{hook.url}/$HOOK_TOKEN", n_trials=2)  # complete already: no news
        assert len(hook.messages) == 1
        again = tune(tmp_path, f"{hook.url}/other", n_trials=3)
        assert [path for path, _ in hook.requests] == [f"/{SECRET}", "/other"]
    assert again.record.config.notify.url == f"{hook.url}/other"
    for path in (path for path in tmp_path.rglob("*") if path.is_file()):
        assert SECRET.encode() not in path.read_bytes(), path


def test_a_stop_and_a_failure_are_told(tmp_path: Path) -> None:
    def fail(_: TrialEnd) -> None:
        raise ZeroDivisionError(SECRET)

    with listening() as hook:
        told = {"notify.url": hook.url, "notify.on": ["stopped", "failed"]}
        tune(tmp_path, "", settings=told, n_trials=500, timeout=0.5)
        with pytest.raises(ZeroDivisionError):
            tune(tmp_path, "", settings=told, n_trials=501, callbacks=[fail])
        stopped, failed = hook.messages
    assert (stopped["event"], stopped["state"]) == ("stopped", "timeout")
    assert stopped["next"] == failed["next"] == "the same call of hpo.tune"
    assert (failed["event"], failed["study"]) == ("failed", "tiny-interactions")
    assert failed["best"] is failed["n_finished"] is None
    assert SECRET not in json.dumps(failed)


def test_a_receiver_that_is_away_harms_no_study(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {"notify.command": [str(tmp_path / "missing")]}
    assert tune(tmp_path, "", settings=settings, n_trials=1, verbose=True).is_complete
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "[notify]" in line]
    assert line.endswith("'finished': cannot be started: No such file or directory")


def test_the_command_tells_a_command_and_keeps_stdout_for_programs(tmp_path: Path) -> None:
    script = tmp_path / "tell.py"
    script.write_text("import sys; print('noise'); open('told.json', 'w').write(sys.stdin.read())")
    toml = study_file(tmp_path, epochs=2, n_trials=1)
    command = f"notify.command={json.dumps([sys.executable, str(script)])}"
    words = ["--data", shop(tmp_path), "--study", toml, "--set", command, "--json"]
    more = ["--engine", "inline", "--no-report", "--no-tracking"]
    code, out, err = run("hpo.run", *words, *more, cwd=tmp_path)
    assert code == 0, err
    assert [json.loads(line)["event"] for line in out.splitlines()][-1] == "finished"
    assert json.loads((tmp_path / "told.json").read_text())["event"] == "finished"


def test_a_promotion_is_told_when_a_version_is_new(real: RealStudy) -> None:
    with listening() as hook:
        real.train("shop", notify={"url": hook.url})
        promote_study(real.locations, "shop", settings=QUICK)
        promote_study(real.locations, "shop", settings=QUICK)  # it was measured before
        (message,) = hook.messages
    assert (message["event"], message["state"]) == ("promoted", "champion")
    version = message["version"]
    assert (version["number"], version["role"], version["refused"]) == (1, "champion", None)
    assert 0 <= version["test"]["recall_at_10"] <= 1
    assert message["links"]["mlflow"].endswith("/#/models/two-tower/versions/1")
    assert message["next"].startswith("python -m hpo.serve")
    assert message["text"].endswith("of study shop is two-tower version 1, champion")


def test_receivers_of_a_study_on_a_server_need_consent(
    real: RealStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = real.train("shop", n_trials=1, notify={"command": ["tell", "me"]})
    record, lines, server = StudyRecord.of(study), list[str](), "postgresql+psycopg://db/hpo"
    own = stored_receivers(record, real.locations.storage, lines.append)
    assert own == record.config.notify
    assert stored_receivers(record, server, lines.append) is None
    assert "set HPO_NOTIFY=1 if you trust the server" in lines[0]
    monkeypatch.setenv("HPO_NOTIFY", "1")
    assert stored_receivers(record, server, lines.append) == own
    assert len(lines) == 1


def test_records_of_before_have_no_receivers() -> None:
    old = {"name": "old", "space": {"dim": {"low": 4, "high": 8}}}
    assert not StudyConfig.model_validate(old).notify.url
