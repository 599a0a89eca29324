"""The part that all drivers share. Runs in a peer's environment, so it needs numpy alone.

A request is a line of JSON on stdin: {"train": npz, "history": npz, "params": {...}, "seed": 0,
"out": npz}, where "history" holds what users have when they are asked (often the same file).
The answer is a line on stdout: {"cpu": CPU seconds of the training, "versions": {...}}. The
outcome lies in `out`: arrays `users` and `items` (vectors), or `scores`.
"""

import json
import os
import random
import sys
import time
import traceback
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray]
Fit = Callable[[Arrays, Arrays, dict[str, Any], int], Arrays]


def serve(fit: Fit, packages: list[str]) -> None:
    """Answer until stdin ends. `fit(data, history, params, seed)` returns the arrays by name."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints goes to stderr
    versions = {name: version(name) for name in packages}
    loaded: dict[str, Arrays] = {}
    for line in sys.stdin:
        request = json.loads(line)
        wanted = request["train"], request["history"]
        loaded = {path: loaded.get(path) or dict(np.load(path)) for path in wanted}
        seed = request["seed"]
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002 - the libraries draw from it
        begin = time.process_time()
        try:
            arrays = fit(*(loaded[path] for path in wanted), request["params"], seed)
        except Exception:
            answer = {"error": traceback.format_exc()}
        else:
            answer = {"cpu": time.process_time() - begin, "versions": versions}
            np.savez(request["out"], **arrays)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def shape(data: Arrays) -> tuple[int, int]:
    return int(data["n_users"]), int(data["n_items"])
