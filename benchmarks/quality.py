"""How good the rankings are: ours and its peers, one protocol, several data sets.

    python benchmarks/quality.py --data ml-100k --model als
    python benchmarks/quality.py --all          # every cell that is not finished yet
    python benchmarks/quality.py --report       # RESULTS.md from what is finished

Each cell: tuned by Optuna's TPE on validation recall@10 (50 trials or 900 CPU seconds, whichever
is first), trained again on train + validation with several seeds, scored on test once, by
`recsys.evaluation.evaluator` whatever the model. On the next item, ours and the models that papers
publish are measured with weights from train only as well, as papers do it. One thread. Finished
cells are kept in `benchmarks/results` and never run again: delete a line to repeat one. Peers that
are libraries get an environment of their own below --cache, made at the first use. The data sets
are looked for below --data-root (ml-100k is fetched if it is not there); without --data, one that
is not there is left out.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import torch
from comparison.cases import CASES, Case, DataMissing, digest, load, source
from comparison.contestants import Contestant, contestant, measure
from comparison.report import write_report
from comparison.roster import OURS, PEERS, Model, cases_of
from comparison.store import FIGURES, Store
from comparison.tuning import Budget, tune

from recsys.data.splitting import Split
from recsys.evaluation.bootstrap import mean_interval
from recsys.evaluation.metrics import UserMetrics


@dataclass(frozen=True)
class Cell:
    """One model on one data set, and all that running it takes."""

    case: Case
    model: str
    store: Store
    options: argparse.Namespace

    def run(self) -> None:
        tuned = self.store.records("tuned").get((self.case.name, self.model))
        if tuned and not self._tests(tuned):
            return
        if self.model in OURS:
            self._run_ours(tuned)
        else:
            self._run_peer(PEERS[self.model], tuned)

    def _tests(self, tuned: dict[str, Any] | None) -> list[str]:
        """Return the kinds of tests to make, each of which leaves a line.

        Args:
            tuned: the stored line, whose tests since then need no repetition; None if it was tuned
                just now.
        """
        if self.options.no_test:
            return []
        published = self.model in OURS or PEERS[self.model].train_only
        kinds = ["tested", "train-only"] if self.case.next_item and published else ["tested"]
        if tuned is None:
            return kinds
        made = {kind: self.store.records(kind).get((self.case.name, self.model)) for kind in kinds}
        return [kind for kind, test in made.items() if not test or test["when"] < tuned["when"]]

    def _run_peer(self, model: Model, tuned: dict[str, Any] | None) -> None:
        split, options = _split(self.case, _places(self.options)), self.options
        with (
            tempfile.TemporaryDirectory() as folder,
            contestant(model, options.envs, Path(folder)) as peer,
        ):
            params = (tuned or self._tune(model, peer, split))["params"]
            seeds = (options.seeds or 3) if model.random else 1
            for kind in self._tests(tuned):
                self._test(kind, peer, params, split, seeds)

    def _tune(self, model: Model, peer: Contestant, split: Split) -> dict[str, Any]:
        keeps = self.case.repeats == "keep"
        space = {**model.space, **(model.repeat_space if keeps else {})}
        found = tune(
            peer, model.start, space, split.tuning, self._budget(), self._storage(),
            f"{self.case.name}--{self.model}", self._say,
        )  # fmt: skip
        record = {
            **self._head(split, {}),
            "tunable": bool(space),
            "trials": found.trials,
            "params": dict(found.params),
            "validation": dict(found.validation),
            "cpu_seconds": round(found.cpu_seconds, 2),
        }
        self.store.add("tuned", record)
        self._say(f"validation {found.validation['recall_at_10']:.4f} {dict(found.params)}")
        return record

    def _test(
        self, kind: str, peer: Contestant, params: dict[str, Any], split: Split, seeds: int
    ) -> None:
        results, cpu, versions = [], 0.0, {}
        history = split.final.seen
        seen = history if kind == "tested" else split.tuning.seen
        for seed in range(seeds):
            trained = peer.train(seen, params, seed, None if seen is history else history)
            results.append(measure(trained, split.final))
            cpu, versions = cpu + trained.cpu, trained.versions
        self._tested(kind, split, results, cpu / seeds, dict(versions))

    def _tested(
        self,
        kind: str,
        split: Split,
        results: list[UserMetrics],
        cpu: float,
        versions: dict[str, str],
    ) -> None:
        means = [result.mean().as_dict() for result in results]
        per_user = sum(result.values["recall_at_10"] for result in results) / len(results)
        interval = mean_interval(per_user)
        record = {
            **self._head(split, versions),
            "seeds": [{name: round(mean[name], 6) for name in FIGURES} for mean in means],
            "test": {name: sum(mean[name] for mean in means) / len(means) for name in FIGURES},
            "interval": [interval.low, interval.high],
            "cpu_seconds": round(cpu, 3),
        }
        self.store.keep_users(kind, self.case.name, self.model, results)
        self.store.add(kind, record)
        self._say(f"{kind} with {len(results)} seeds")

    def _run_ours(self, tuned: dict[str, Any] | None) -> None:
        from comparison.ours import train_and_test

        options, split = self.options, _split(self.case, _places(self.options))
        params = (tuned or self._tune_ours(split))["params"]
        seeds = options.seeds or (5 if self.case.name == "ml-100k" else 3)
        for kind in self._tests(tuned):
            seen = None if kind == "tested" else split.tuning.seen
            found = [train_and_test(params, split.final, seed, seen) for seed in range(seeds)]
            cpu = sum(seconds for _, seconds in found) / seeds
            versions = {"torch": torch.__version__}
            self._tested(kind, split, [result for result, _ in found], cpu, versions)

    def _tune_ours(self, split: Split) -> dict[str, Any]:
        from comparison.ours import params_of, run_study

        folder = source(self.case, *_places(self.options))
        toml, cache_folder = OURS[self.model].study, self.options.cache
        study = run_study(self.case, folder, toml, self._budget(), cache_folder)
        record = {
            **self._head(split, {"torch": torch.__version__}),
            "tunable": True,
            "trials": study.trials,
            "params": params_of(study.candidate),
            "validation": dict(study.candidate.validation),
            "cpu_seconds": round(study.cpu_seconds, 2),
        }
        self.store.add("tuned", record)
        self._say(f"validation {record['validation']['recall_at_10']:.4f}")
        return record

    def _budget(self) -> Budget:
        return Budget(self.options.trials, self.options.cpu_seconds)

    def _storage(self) -> str:
        self.options.cache.mkdir(parents=True, exist_ok=True)
        return f"sqlite:///{(self.options.cache / 'studies.db').as_posix()}"

    def _head(self, split: Split, versions: dict[str, str]) -> dict[str, Any]:
        rows = split.interactions
        counts = {"users": rows.n_users, "items": rows.n_items}
        counts |= {name: len(getattr(split, name)) for name in ("train", "validation", "test")}
        return {
            "case": self.case.name, "model": self.model, "digest": digest(split),
            "counts": counts, "versions": {"python": platform.python_version(), **versions},
            "threads": torch.get_num_threads(), "machine": processor(),
            "when": datetime.now(UTC).isoformat(timespec="seconds"),
        }  # fmt: skip

    def _say(self, text: str) -> None:
        print(f"{self.case.name} {self.model}: {text}", flush=True)


def _places(options: argparse.Namespace) -> tuple[Path, Path]:
    return options.data_root, options.cache


@cache
def _split(case: Case, locations: tuple[Path, Path]) -> Split:
    return load(case, source(case, *locations))


def processor() -> str:
    """What the system calls its processor."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def cells(options: argparse.Namespace) -> Iterator[Cell]:
    store = Store(options.results, options.cache)
    models = options.model or [*PEERS, *OURS]
    for name in options.data or list(CASES):
        for model in models:
            if name in cases_of(model):
                yield Cell(CASES[name], model, store, options)
            elif options.data and options.model:
                raise SystemExit(f"{model} takes part in {', '.join(cases_of(model))} only")


def run_all(all_cells: Iterable[Cell], *, named: bool) -> None:
    """Run the cells; one whose data set is not there is told and left out, unless it was named."""
    for cell in all_cells:
        try:
            cell.run()
        except DataMissing as error:
            if named:
                raise
            print(f"{cell.case.name} {cell.model}: left out: {error}", flush=True)


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    home = Path.home() / ".cache" / "two-tower-benchmarks"
    result.add_argument("--data", nargs="+", choices=tuple(CASES), metavar="CASE",
                        help=f"{', '.join(CASES)} (default: all)")  # fmt: skip
    result.add_argument("--model", nargs="+", choices=(*PEERS, *OURS), metavar="MODEL",
                        help=f"{', '.join((*PEERS, *OURS))} (default: all)")  # fmt: skip
    result.add_argument("--all", action="store_true", help="all models on all data")
    result.add_argument(
        "--report", action="store_true", help="only write RESULTS.md, beside --results"
    )
    result.add_argument("--no-test", action="store_true", help="tune only; test stays unseen")
    result.add_argument("--trials", type=int, default=50)
    result.add_argument("--cpu-seconds", type=float, default=900, help="of one study")
    result.add_argument("--seeds", type=int, help="of the refit (default: 3; ours on ml-100k 5)")
    result.add_argument("--data-root", type=Path, default=Path("../shared/data"))
    result.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    result.add_argument("--cache", type=Path, default=home, help="studies, users' figures")
    result.add_argument("--envs", type=Path, help="environments of peers (default: CACHE/envs)")
    return result


def main() -> None:
    options = parser().parse_args()
    if not (options.all or options.data or options.model or options.report):
        raise SystemExit("say which cells: --data, --model, or --all; see --help")
    options.envs = options.envs or options.cache / "envs"
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"  # for the processes started from here; this one has only torch
    torch.set_num_threads(1)
    if not options.report:
        run_all(cells(options), named=bool(options.data))
    write_report(Store(options.results, options.cache), options.results.parent / "RESULTS.md")


if __name__ == "__main__":
    main()
