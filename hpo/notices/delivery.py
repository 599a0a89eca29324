"""The sending of messages: a few tries within a bound, and a warning instead of an error."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable
from string import Template

from hpo.config import NotifyConfig
from hpo.notices.notice import Notice
from hpo.study import StudyRecord
from recsys.artifacts import sqlite_file

DELIVERY_SECONDS = 30.0  # for all tries together
TRY_SECONDS = 10.0  # for one answer of a server
PAUSES = (1.0, 3.0)  # seconds before the second and the third try
SUCCESS = range(200, 300)
CONSENT = "HPO_NOTIFY"  # variable of the environment
PASSING = (408, 425, 429, *range(500, 600))  # answers that may be others in a second


class _Undelivered(Exception):
    """A try without success.

    Args:
        reason: the reason in words, without any value from the environment.
        is_passing: True if another try may succeed.
    """

    def __init__(self, reason: str, *, is_passing: bool) -> None:
        super().__init__(reason)
        self.is_passing = is_passing


def deliver(
    config: NotifyConfig,
    notice: Notice,
    say: Callable[[str], None],
    seconds: float = DELIVERY_SECONDS,
) -> None:
    """Send a message wherever the study wants it; say in a sentence if it does not arrive.

    Args:
        config: the study's table [notify].
        notice: the message.
        say: called with a warning for each receiver that did not get the message.
        seconds: time for all tries; the function returns then, even if a receiver hangs.
    """
    if notice.event not in config.on:
        return
    body, deadline = notice.to_json().encode(), time.monotonic() + seconds
    ways: dict[str, Callable[[float], None]] = {}
    if config.url is not None:
        ways[f"url {config.url}"] = lambda limit: _post(config, body, limit)
    if config.command:
        ways[f"command {config.command[0]}"] = lambda limit: _run(config.command, body, limit)
    failures: dict[str, str] = {}
    threads = [
        # a look-up of a host name has no time limit of its own: the thread may outlive it
        threading.Thread(target=_try, args=(way, send, deadline, failures), daemon=True)
        for way, send in ways.items()
    ]
    for thread in threads:
        thread.start()
    for way, thread in zip(ways, threads, strict=True):
        thread.join(max(0.0, deadline + 0.5 - time.monotonic()))
        why = f"no end within {seconds:g} s" if thread.is_alive() else failures.get(way)
        if why is not None:
            say(f"[notify] {way} did not get the message {notice.event!r}: {why}")


def stored_receivers(
    record: StudyRecord, storage: str, say: Callable[[str], None]
) -> NotifyConfig | None:
    """Return the table [notify] of a stored study, for commands without a study file.

    It runs a command and fills in variables of this environment. What a server holds may be written
    by others, so there the user of this machine has to agree.

    Args:
        record: the study's record.
        storage: URL of the storage with the record.
        say: called with a sentence if the table is not used.

    Returns:
        The table; None if there is none, or it is not used.
    """
    config = record.config.notify
    if not (config.url or config.command):
        return None
    if sqlite_file(storage) is None and os.environ.get(CONSENT) != "1":
        say(
            f"[notify] of study {record.config.name} is not used: it lies on a server, which "
            f"others may write, and it can run commands; set {CONSENT}=1 if you trust the server"
        )
        return None
    return config


def _try(
    way: str, send: Callable[[float], None], deadline: float, failures: dict[str, str]
) -> None:
    """Send until it succeeds, cannot succeed or takes too long; note the last failure.

    Args:
        way: the receiver in words.
        send: sends within a number of seconds.
        deadline: `time.monotonic()` at the end.
        failures: receives the reason of a failure.
    """
    for pause in (*PAUSES, None):
        try:
            send(max(0.1, min(TRY_SECONDS, deadline - time.monotonic())))
        except _Undelivered as error:
            failures[way] = str(error)
            if pause is None or not error.is_passing or time.monotonic() + pause >= deadline:
                return
            time.sleep(pause)
        except Exception as error:  # a message must not end a study
            failures[way] = f"unexpected {type(error).__name__}"
            return
        else:
            failures.pop(way, None)
            return


def _post(config: NotifyConfig, body: bytes, seconds: float) -> None:
    """Post the message once.

    Raises:
        _Undelivered: there is no answer, or one that is no success.
    """
    import requests

    url = _filled(str(config.url))
    headers = {name: _filled(value) for name, value in config.headers.items()}
    try:
        with requests.post(
            url,
            data=body,
            headers={"Content-Type": "application/json", **headers},
            timeout=seconds,
            allow_redirects=False,  # a redirected POST is a GET, and loses the message
            stream=True,  # the answer's body is of no use
        ) as answer:
            status = answer.status_code
    except requests.Timeout:
        raise _Undelivered(f"no answer within {seconds:.0f} s", is_passing=True) from None
    except requests.exceptions.SSLError:
        raise _Undelivered("its certificate is not trusted here", is_passing=False) from None
    except requests.ConnectionError:
        raise _Undelivered("no connection", is_passing=True) from None
    except (requests.RequestException, ValueError):
        # the library's words hold the address with its secrets
        why = "with its variables filled in, it is no address or header of HTTP"
        raise _Undelivered(why, is_passing=False) from None
    if status not in SUCCESS:
        raise _Undelivered(f"it answered {status}", is_passing=status in PASSING)


def _filled(text: str) -> str:
    """Return text with environment variables in the place of their names.

    Raises:
        _Undelivered: a variable is not set.
    """
    try:
        return Template(text).substitute(os.environ).strip()
    except KeyError as error:
        why = f"the environment variable {error.args[0]} is not set"
        raise _Undelivered(why, is_passing=False) from None


def _run(command: tuple[str, ...], body: bytes, seconds: float) -> None:
    """Run the command once, with the message on its stdin; its stderr is that of the study.

    Raises:
        _Undelivered: it cannot be started, takes too long or ends with another code than 0.
    """
    try:
        ended = subprocess.run(
            command, input=body, stdout=subprocess.DEVNULL, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        raise _Undelivered(f"no end within {seconds:.0f} s", is_passing=False) from None
    except OSError as error:
        raise _Undelivered(f"cannot be started: {error.strerror}", is_passing=False) from None
    if ended.returncode:
        raise _Undelivered(f"it ended with exit code {ended.returncode}", is_passing=True)
