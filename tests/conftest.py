"""For all tests: one torch thread, and Ctrl-C as in a terminal."""

from __future__ import annotations

import signal

import torch

torch.set_num_threads(1)  # two that wait for each other on a busy machine crawl

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell makes what it starts in the background ignore Ctrl-C; tests send it to themselves.
    signal.signal(signal.SIGINT, signal.default_int_handler)
