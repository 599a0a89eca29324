"""For all tests: one torch thread, Ctrl-C as in a terminal, and commands that start by a fork."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator

import pytest
import torch

from tests.support.forking import popen

torch.set_num_threads(1)  # two that wait for each other on a busy machine crawl

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell makes what it starts in the background ignore Ctrl-C; tests send it to themselves.
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Loading torch and MLflow for each command takes most of the suite's time, see the package.
FORK = sys.platform == "linux" and os.environ.get("HPO_TEST_FORK") != "0"


def pytest_configure() -> None:
    if FORK:
        popen.install(None)


def pytest_unconfigure() -> None:
    if FORK:
        popen.uninstall()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Give new interpreters to tests about starting, one of each command, and `make faults`."""
    marks = map(item.get_closest_marker, ("new_interpreters", "faults"))
    with popen.suspended(any(marks)):
        return (yield)
