"""Messages to a real server and a real command: tried again, in time, and never an error."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest

from hpo.config.notify import NotifyConfig
from hpo.errors import StudyStopped, TrainingFailed, WorkerDied
from hpo.execution.failure_policy import FAILURES_IN_A_ROW, Failures
from hpo.notices import delivery
from hpo.notices.delivery import deliver
from hpo.notices.notice import Notice, failed_notice
from hpo.study.records import Outcome
from recsys.errors import DataError
from tests.support.mlflow_server import free_port
from tests.support.webhook import listening

NOTICE = Notice("finished", "shop", "complete", "study shop: 3 of 3 trials finished")
WRITE = "import pathlib, sys; pathlib.Path(sys.argv[1]).write_text(sys.stdin.read())"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "PAUSES", (0.05, 0.05))


def said(config: NotifyConfig, notice: Notice = NOTICE, seconds: float = 30) -> list[str]:
    lines: list[str] = []
    deliver(config, notice, lines.append, seconds)
    return lines


def test_the_message_is_json_with_secrets_filled_in_only_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOOK_TOKEN", "hush")
    with listening() as hook:
        url = f"{hook.url}/hook?token=$HOOK_TOKEN"
        config = NotifyConfig(url=url, headers={"Authorization": "Bearer $HOOK_TOKEN"})
        assert said(config) == []
    ((path, headers),) = hook.requests
    assert path == "/hook?token=hush"
    assert (headers["Authorization"], headers["Content-Type"]) == (
        "Bearer hush",
        "application/json",
    )
    (message,) = hook.messages
    assert (message["event"], message["study"]) == ("finished", "shop")
    assert config.url == url


def test_a_server_that_fails_twice_gets_the_message_at_the_third_try() -> None:
    with listening(503, 429) as hook:
        assert said(NotifyConfig(url=hook.url)) == []
    assert (len(hook.requests), len(hook.messages)) == (3, 1)


def test_a_server_that_keeps_failing_or_refuses_is_a_warning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOOK_TOKEN", "hush")
    with listening(503, 503, 503) as hook:
        url = f"{hook.url}/?token=$HOOK_TOKEN"
        (line,) = said(NotifyConfig(url=url))
        assert line == f"[notify] url {url} did not get the message 'finished': it answered 503"
    assert len(hook.requests) == 3
    for refusal in (403, 302):
        with listening(refusal) as hook:
            (line,) = said(NotifyConfig(url=hook.url))
        assert line.endswith(f"it answered {refusal}")
        assert len(hook.requests) == 1


def test_a_server_that_hangs_costs_no_more_than_the_bound() -> None:
    with listening(0, 0, 0) as hook:
        began = time.monotonic()
        (line,) = said(NotifyConfig(url=hook.url), seconds=0.5)
        assert time.monotonic() - began < 5
    assert "no answer within" in line or "no end within" in line


def test_what_cannot_be_reached_is_told_without_its_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, address, why in (
        ("CLOSED", f"http://127.0.0.1:{free_port()}/hush", "no connection"),
        ("NO_URL", "hush", "it is no address or header of HTTP"),
        ("CONTROL", "http://[hush", "it is no address or header of HTTP"),
    ):
        monkeypatch.setenv(name, address)
        (line,) = said(NotifyConfig(url=f"${name}"))
        assert why in line
        assert "hush" not in line
    (line,) = said(NotifyConfig(url="$NEVER_SET"))
    assert line.endswith("the environment variable NEVER_SET is not set")


def test_a_command_gets_the_message_on_stdin_and_no_shell(tmp_path: Path) -> None:
    target = tmp_path / "$(hush) ; message.json"
    assert said(NotifyConfig(command=(sys.executable, "-c", WRITE, str(target)))) == []
    assert json.loads(target.read_text())["text"] == NOTICE.text


def test_a_command_that_fails_hangs_or_is_missing_is_a_warning(tmp_path: Path) -> None:
    tries = tmp_path / "tries"
    fail = f"import sys; open({str(tries)!r}, 'a').write('x'); sys.exit(7)"
    (line,) = said(NotifyConfig(command=(sys.executable, "-c", fail)))
    assert line.endswith("it ended with exit code 7")
    assert tries.read_text() == "xxx"
    sleep = (sys.executable, "-c", "import time; time.sleep(60)")
    (line,) = said(NotifyConfig(command=sleep), seconds=0.5)
    assert "no end within" in line
    (line,) = said(NotifyConfig(command=(str(tmp_path / "missing"),)))
    assert "cannot be started: No such file" in line


def test_both_get_it_and_only_the_wanted_events(tmp_path: Path) -> None:
    target = tmp_path / "message.json"
    with listening() as hook:
        command = (sys.executable, "-c", WRITE, str(target))
        config = NotifyConfig(url=hook.url, command=command, on=("failed",))
        assert said(config) == []
        assert not hook.requests
        assert said(config, failed_notice("shop", DataError("no\nrows"), "hpo run")) == []
    assert hook.messages == [json.loads(target.read_text())]
    assert hook.messages[0]["text"] == "study shop failed: no rows"


def test_the_words_of_a_trial_s_error_stay_out() -> None:
    failures = Failures()
    failed = Outcome(0, 0.0, "error", "no password hush", "Traceback: hush")
    failures.add(3, failed)
    with pytest.raises(StudyStopped, match="(?s)trial 4: no password hush.*Traceback") as caught:
        failures.add(4, failed)
    notice = failed_notice("shop", caught.value, "hpo run")
    assert notice.text == "study shop failed: stopped: the same error twice, last in trial 4"
    for error in (TrainingFailed("hush", ""), WorkerDied("died: hush")):
        assert "hush" not in failed_notice("shop", error, "hpo run").to_json()


def test_in_a_row_of_failures_the_words_of_the_last_stay_out() -> None:
    failures = Failures()
    died = Outcome(0, 0.0, "worker-died", "hush")
    for number in range(FAILURES_IN_A_ROW - 1):
        failures.add(number, died)
    with pytest.raises(StudyStopped, match="last trial 9 .worker-died.: hush") as caught:
        failures.add(9, died)
    notice = failed_notice("shop", caught.value, "hpo run")
    assert "10 trials failed in a row, last trial 9 (worker-died)" in notice.text
    assert "hush" not in notice.to_json()


def test_the_words_of_an_unexpected_error_stay_out() -> None:
    notice = failed_notice("shop", ValueError("password hush"), "hpo run")
    assert "ValueError" in notice.text
    assert "hush" not in notice.to_json()
