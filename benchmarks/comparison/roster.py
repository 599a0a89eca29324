"""Who takes part: each model's search space, first configuration and environment.

The first trial of every study is the configuration in `start`: the library's own defaults, or
the literature's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from comparison import graph_models
from comparison.cases import CASES
from comparison.graph_models import Params, Scores
from recsys.data.interactions import Interactions


@dataclass(frozen=True)
class Real:
    low: float
    high: float
    log: bool = False


@dataclass(frozen=True)
class Whole:
    low: int
    high: int
    log: bool = False


@dataclass(frozen=True)
class Choice:
    values: tuple[Any, ...]


Dimension = Real | Whole | Choice


@dataclass(frozen=True)
class Environment:
    """A virtual environment of one peer, and the driver that runs in it."""

    name: str
    packages: tuple[str, ...]
    driver: str


@dataclass(frozen=True)
class Model:
    """One contestant.

    Attributes:
        name: as given with --model.
        start: the first configuration.
        space: what is tuned; empty for models with nothing to tune.
        repeat_space: also tuned where repeats are kept.
        fit: for models of this folder; None for those of a library.
        environment: for models of a library.
        random: whether another seed gives another model.
        cases: None: all.
        train_only: whether papers on the next item publish it with weights from train only; these
            are then measured as well.
    """

    name: str
    start: Mapping[str, Any]
    space: Mapping[str, Dimension]
    repeat_space: Mapping[str, Dimension] = field(default_factory=dict)
    fit: Callable[[Interactions, Params], Scores] | None = None
    environment: Environment | None = None
    random: bool = False
    cases: tuple[str, ...] | None = None
    train_only: bool = False


@dataclass(frozen=True)
class Ours:
    """A study file of ours.

    Attributes:
        study: name in studies/.
        cases: data sets that it is run on.
    """

    study: str
    cases: tuple[str, ...]


NEXT = tuple(name for name, case in CASES.items() if case.next_item)
COUNTS = {"values": Choice(("binary", "log", "count"))}
SELF = {"keep_self": Choice((False, True))}
TIMED = ("ml-100k", "ml-latest-small", "online-retail-ii", "online-retail-ii-repeats", *NEXT)
NEAREST = Whole(5, 1000, log=True)
COSINE: dict[str, Dimension] = {"neighbours": NEAREST, "shrink": Real(0.01, 100.0, log=True)}

IMPLICIT = Environment("implicit", ("implicit==0.7.3",), "implicit_driver.py")
LIGHTFM = Environment("lightfm", ("lightfm-next",), "lightfm_driver.py")
RECTOOLS = Environment("rectools", ("rectools[torch]",), "rectools_driver.py")

_GRAPH = (
    Model("popularity", {}, {}, fit=graph_models.popularity),
    Model(
        "own-history",
        {"decay": 100.0},
        {"decay": Real(1.0, 10_000.0, log=True)},
        fit=graph_models.own_history,
        cases=("online-retail-ii-repeats",),
    ),
    Model(
        "itemknn",
        {"neighbours": 100, "shrink": 1.0, "user_discount": 0.0},
        {**COSINE, "user_discount": Real(0.0, 1.0)},
        {**COUNTS, **SELF},
        graph_models.item_knn,
    ),
    Model(
        "itemknn-recent",
        {"neighbours": 100, "shrink": 1.0, "user_discount": 0.0, "decay": 20.0},
        {**COSINE, "user_discount": Real(0.0, 1.0), "decay": Real(0.5, 300.0, log=True)},
        {**COUNTS, **SELF},
        graph_models.item_knn,
        cases=TIMED,
    ),
    Model(
        "userknn",
        {"neighbours": 100, "shrink": 1.0, "item_discount": 0.0},
        {**COSINE, "item_discount": Real(0.0, 1.0)},
        {**COUNTS, **SELF},
        graph_models.user_knn,
    ),
    Model(
        "rp3beta",
        {"neighbours": 200, "alpha": 1.0, "beta": 0.6},
        {"neighbours": NEAREST, "alpha": Real(0.0, 2.0), "beta": Real(0.0, 1.5)},
        {**COUNTS, **SELF},
        graph_models.rp3beta,
    ),
    Model(
        "ease",
        {"regularization": 500.0},
        {"regularization": Real(1.0, 10_000.0, log=True)},
        COUNTS,
        graph_models.ease,
    ),
)
_LIBRARIES = (
    Model(
        "als",
        {"factors": 100, "regularization": 0.01, "alpha": 1.0, "iterations": 15},
        {
            "factors": Whole(16, 256, log=True),
            "regularization": Real(1e-3, 100.0, log=True),
            "alpha": Real(0.1, 100.0, log=True),
            "iterations": Whole(5, 40),
        },
        COUNTS,
        environment=IMPLICIT,
        random=True,
    ),
    Model(
        "bpr",
        {"factors": 100, "learning_rate": 0.01, "regularization": 0.01, "iterations": 100},
        {
            "factors": Whole(16, 256, log=True),
            "learning_rate": Real(1e-3, 0.2, log=True),
            "regularization": Real(1e-5, 0.1, log=True),
            "iterations": Whole(20, 300, log=True),
        },
        environment=IMPLICIT,
        random=True,
    ),
    Model(
        "lightfm",
        {
            "no_components": 64, "learning_rate": 0.05, "max_sampled": 10, "epochs": 30,
            "item_alpha": 1e-7, "user_alpha": 1e-7,
        },
        {
            "no_components": Whole(16, 256, log=True),
            "learning_rate": Real(5e-3, 0.2, log=True),
            "max_sampled": Whole(5, 60, log=True),
            "epochs": Whole(5, 60, log=True),
            "item_alpha": Real(1e-8, 1e-3, log=True),
            "user_alpha": Real(1e-8, 1e-3, log=True),
        },
        environment=LIGHTFM,
        random=True,
    ),
    Model(
        "sasrec",
        {"n_factors": 64, "n_blocks": 2, "lr": 1e-3, "dropout_rate": 0.2, "epochs": 15},
        {
            "n_factors": Choice((32, 64, 128)),
            "n_blocks": Choice((1, 2)),
            "lr": Real(3e-4, 5e-3, log=True),
            "dropout_rate": Real(0.1, 0.5),
            "epochs": Whole(5, 25),
        },
        environment=RECTOOLS,
        random=True,
        cases=("ml-100k", *NEXT),
        train_only=True,
    ),
)  # fmt: skip

PEERS = {model.name: model for model in (*_GRAPH, *_LIBRARIES)}
OURS = {
    "ours": Ours("two_tower.toml", tuple(CASES)),
    "ours-wide": Ours("wide.toml", tuple(name for name in CASES if name not in NEXT)),
    "ours-next": Ours("next_item.toml", NEXT),
}


def cases_of(model: str) -> tuple[str, ...]:
    """Return the data sets that a model takes part in."""
    only = OURS[model].cases if model in OURS else PEERS[model].cases
    return tuple(CASES) if only is None else only
