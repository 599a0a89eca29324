"""RESULTS.md from the stored results: one table for each case."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from comparison.cases import CASES, Case
from comparison.roster import OURS, PEERS, cases_of
from comparison.store import Store
from recsys.evaluation.bootstrap import Interval, mean_interval

BEGIN, END = "<!-- quality: begin -->", "<!-- quality: end -->"
HEAD = (
    "| model | trials | validation recall@10 | test recall@10 [95%] | test ndcg@10 | "
    "test recall@20 | ours - it, recall@10 [95%] | study, CPU s | one training, CPU s |\n"
    "|---|---|---|---|---|---|---|---|---|"
)
SHORT = (
    "| model | test recall@10 [95%] | test ndcg@10 | test recall@20 "
    "| ours - it, recall@10 [95%] |\n"
    "|---|---|---|---|---|"
)
PAIRED = {"tested": "paired", "train-only": "train-only-paired"}
"""The kind of a test -> the kind of its differences to ours, see `Store`."""

Record = dict[str, Any]


def write_report(store: Store, path: Path) -> None:
    """Put the tables between the two marks of the file; all else in it stays.

    Differences to ours are stored as soon as the users' figures are here, and read from there.
    """
    text = path.read_text(encoding="utf-8") if path.exists() else f"# Results\n\n{BEGIN}\n{END}\n"
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    tuned, tested = store.records("tuned"), store.records("tested")
    train_only = store.records("train-only")
    sections = []
    for case in CASES.values():
        if found := _of(tuned, case):
            tests = [_of(records, case) for records in (tested, train_only)]
            _check_split(case, [record for kind in (found, *tests) for record in kind.values()])
            of_case, weights = ({n: kind[n] for n in kind if n in found} for kind in tests)
            sections.append(_section(case, store, found, of_case))
            if weights:
                sections.append(_train_only(case, store, found, weights))
    records = [*tuned.values(), *tested.values(), *train_only.values()]
    body = "\n\n".join([*sections, _versions(records)])
    path.write_text(f"{before}{BEGIN}\n\n{body}\n\n{END}{after}", encoding="utf-8", newline="\n")


def _of(records: dict[tuple[str, str], Record], case: Case) -> dict[str, Record]:
    return {model: record for (name, model), record in records.items() if name == case.name}


def _check_split(case: Case, records: list[Record]) -> None:
    """Refuse results of different splits.

    Raises:
        SystemExit: there are some.
    """
    digests = {record["digest"] for record in records}
    if len(digests) > 1:
        raise SystemExit(f"{case.name}: results of different splits: {', '.join(sorted(digests))}")


def _section(case: Case, store: Store, tuned: dict[str, Record], tested: dict[str, Record]) -> str:
    counts = next(iter(tuned.values()))["counts"]
    ours = _best_of_ours(tuned, tested)
    order = sorted(tuned, key=lambda name: -_sort_key(name, tuned, tested))
    lines = [_line(case, store, name, ours, tuned[name], tested) for name in order]
    missing = [
        name for name in (*PEERS, *OURS) if name not in tuned and case.name in cases_of(name)
    ]
    sizes = (
        f"{counts['users']:,} users, {counts['items']:,} items; {counts['train']:,} rows train, "
        f"{counts['validation']:,} validation, {counts['test']:,} test."
    )
    after = ["", f"Not run on it: {', '.join(missing)}."] if missing else []
    return "\n".join([f"### {case.name}", "", f"{case.about}: {sizes}", "", HEAD, *lines, *after])


def _train_only(
    case: Case, store: Store, tuned: dict[str, Record], weights: dict[str, Record]
) -> str:
    """The table of weights from train only, asked with the whole history before the test row."""
    ours = _best_of_ours(tuned, weights)
    order = sorted(weights, key=lambda name: -weights[name]["test"]["recall_at_10"])
    lines = [
        f"| {_shown(name)} | {' | '.join(_test_cells(weights[name]))} "
        f"| {_difference(store, 'train-only', case.name, ours, name, weights)} |"
        for name in order
    ]
    return "\n".join([f"{case.name}, weights from train only, as papers do it:", "", SHORT, *lines])


def _best_of_ours(tuned: dict[str, Record], tested: dict[str, Record]) -> str | None:
    """Return the one of ours that is best on validation; None if none was tested."""
    return max(OURS.keys() & tested.keys(), key=lambda name: _validation(tuned[name]), default=None)


def _shown(name: str) -> str:
    return f"**{name}**" if name in OURS else name


def _validation(record: Record) -> float:
    return float(record["validation"]["recall_at_10"])


def _sort_key(name: str, tuned: dict[str, Record], tested: dict[str, Record]) -> float:
    record = tested.get(name)
    return record["test"]["recall_at_10"] if record else _validation(tuned[name])


def _line(
    case: Case,
    store: Store,
    name: str,
    ours: str | None,
    tuned: Record,
    all_tested: dict[str, Record],
) -> str:
    tested = all_tested.get(name)
    cells = [
        _shown(name),
        str(tuned["trials"]) if tuned["tunable"] else "-",
        f"{_validation(tuned):.4f}",
        *(_test_cells(tested) if tested else ["not yet"] * 3),
        _difference(store, "tested", case.name, ours, name, all_tested) if tested else "",
        f"{tuned['cpu_seconds']:.0f}",
        f"{tested['cpu_seconds']:.3g}" if tested else "",
    ]
    return f"| {' | '.join(cells)} |"


def _test_cells(tested: Record) -> list[str]:
    low, high = tested["interval"]
    figures = tested["test"]
    seeds = tested["seeds"]
    spread = f" ± {np.std([each['recall_at_10'] for each in seeds]):.4f}" if len(seeds) > 1 else ""
    return [
        f"{figures['recall_at_10']:.4f}{spread} [{low:.4f}, {high:.4f}]",
        f"{figures['ndcg_at_10']:.4f}",
        f"{figures['recall_at_20']:.4f}",
    ]


def _difference(
    store: Store, kind: str, case: str, ours: str | None, peer: str, tested: dict[str, Record]
) -> str:
    """Paired over users, each user's recall a mean over the seeds."""
    paired = PAIRED[kind]
    if ours is None or ours == peer:
        return ""
    of = {"ours": ours, "when": [tested[ours]["when"], tested[peer]["when"]]}
    stored = store.records(paired).get((case, peer), {})
    if any(stored.get(name) != value for name, value in of.items()):  # of other tests
        found = _paired(store, kind, case, ours, peer)
        if found is None:
            return "users' figures are not here"
        difference = [round(value, 6) for value in (found.mean, found.low, found.high)]
        stored = {"case": case, "model": peer, **of, "difference": difference}
        store.add(paired, stored)
    mean, low, high = stored["difference"]
    return f"{mean:+.4f} [{low:+.4f}, {high:+.4f}]"


def _paired(store: Store, kind: str, case: str, ours: str, peer: str) -> Interval | None:
    mine, theirs = store.users(kind, case, ours), store.users(kind, case, peer)
    if mine is None or theirs is None:
        return None
    assert np.array_equal(mine["users"], theirs["users"])
    return mean_interval(mine["recall_at_10"] - theirs["recall_at_10"])


def _versions(records: list[Record]) -> str:
    versions = {item for record in records for item in record["versions"].items()}
    machines = {f"{record['machine']}, {record['threads']} thread" for record in records}
    listed = ", ".join(f"{name} {version}" for name, version in sorted(versions))
    return f"Versions: {listed}. Machine: {'; '.join(sorted(machines))}."
