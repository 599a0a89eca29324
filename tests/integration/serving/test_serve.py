"""Served over HTTP: the right items, whatever is asked, while champions come and go."""

from __future__ import annotations

import re
import signal
import socket
import sqlite3
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from hpo.config import MODEL
from hpo.errors import SettingsError
from hpo.promotion.promote import promote_study
from hpo.serve import listen
from hpo.serving import batching
from hpo.study.data import load_split
from hpo.study.records import StudyRecord
from recsys.evaluation.evaluator import TowerScorer
from recsys.retrieval.recommender import Recommender
from recsys.retrieval.requests import Question
from tests.support import reference
from tests.support.commands import start
from tests.support.examples import conveyor
from tests.support.mlflow_server import TrackingServer
from tests.support.mlflow_store import fresh_store
from tests.support.real_study import RealStudy
from tests.support.registered import Client, Registered, another, running
from tests.support.trained import train, trained


@pytest.mark.new_interpreters
@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_the_promoted_figures_can_be_recomputed_from_served_answers(tmp_path: Path) -> None:
    """The whole way: study, promotion, the real command, HTTP, Ctrl-C."""
    real = RealStudy(tmp_path)
    study = real.train("shop", n_trials=1)
    promotion = promote_study(real.locations, "shop")
    options = ["--port", 0, "--tracking-uri", real.locations.tracking_uri, "--as-measured"]
    cache = str(tmp_path / "cache")
    server = start("hpo.serve", *options, cwd=tmp_path, RECSYS_CACHE=cache)
    assert server.stdout is not None
    greeting = [server.stdout.readline() for _ in range(4)]
    try:
        port = int(re.findall(r"at http://127\.0\.0\.1:(\d+)", greeting[0])[0])
        client = Client(port)
        (example,) = re.findall(r"-d '(.*)'", greeting[1])
        assert client.post("/recommend", example)[0] == 200
        assert example in greeting[2]
        check_figures(client, load_split(StudyRecord.of(study), None), promotion.test)
    finally:
        server.send_signal(signal.SIGINT)
        out, err = server.communicate(timeout=60)
    assert (server.returncode, out, err) == (0, "stopped\n", "")


def check_figures(client: Client, split: Any, test: dict[str, float]) -> None:
    seen, relevant = split.final.seen, reference.relevant_of(split.final)
    recalls = []
    for user, items in relevant.items():
        user_id = seen.user_ids[user]
        found = client.items({"user_id": user_id, "k": 10})
        recalls.append(len({*found} & {seen.item_ids[i] for i in items}) / len(items))
    assert len(recalls) == 60
    assert sum(recalls) / len(recalls) == pytest.approx(test["recall_at_10"], abs=1e-6)


def test_answers_equal_brute_force(registered: Registered) -> None:
    history = trained().parts.interactions
    scores = TowerScorer(trained().model, history).scores(torch.arange(history.n_users))
    with running(registered.live()) as port:
        client = Client(port)
        for user, user_id in enumerate(history.user_ids):
            status, found = client.post("/recommend", {"user_id": user_id, "k": 10})
            assert (status, found["source"], found["version"]) == (200, "model", "1")
            seen = set(history.items[history.users == user])
            row = scores[user].tolist()
            best = sorted(set(range(30)) - seen, key=lambda item: -row[item])[:10]
            assert [item["item_id"] for item in found["items"]] == [
                history.item_ids[item] for item in best
            ]
            expected = [row[item] for item in best]
            assert [item["score"] for item in found["items"]] == pytest.approx(expected, abs=1e-5)


def test_every_kind_of_question(registered: Registered) -> None:
    model = trained()
    direct = Recommender(model.model, model.parts.interactions)
    bodies: list[dict[str, Any]] = [
        {"user_id": "u7"},
        {"history": ["i3", "i4", "nope"], "k": 4},
        {"history": ["i9", "i3"], "times": [5, 1.5], "k": 3, "exclude": ["i10"]},
        {"user_id": "nobody", "k": 2},
        {"history": []},
    ]
    with running(registered.live()) as port:
        client = Client(port)
        status, many = client.post("/recommend/batch", {"requests": bodies})
        single = [client.post("/recommend", body)[1] for body in bodies]
    assert status == 200
    for answer, found, one in zip(
        direct.answer([Question(**body) for body in bodies]), many["results"], single, strict=True
    ):
        items = [
            {"item_id": item, "score": pytest.approx(score, abs=1e-5)}
            for item, score in answer.items
        ]
        expected = {"items": items, "source": answer.source, "version": "1"}
        if answer.unknown_items:
            expected["unknown_items"] = ["nope"]
        assert found == expected
        assert one == expected  # alone: the same but for the rounding of another product


def test_ids_may_be_numbers(tmp_path: Path) -> None:
    registered, data = Registered(tmp_path), conveyor()
    names = [str(u) for u in range(data.n_users)], [str(i) for i in range(data.n_items)]
    registered.add(train(replace(data, user_ids=names[0], item_ids=names[1])))
    with running(registered.live()) as port:
        client = Client(port)
        for body in ({"user_id": 7}, {"history": [3, "4"], "exclude": [5]}):
            as_text = {
                name: [*map(str, value)] if isinstance(value, list) else str(value)
                for name, value in body.items()
            }
            status, found = client.post("/recommend", body)
            assert (status, found["source"]) == (200, "model")
            assert (status, found) == client.post("/recommend", as_text)
            assert "unknown_items" not in found


def test_as_measured_serves_what_was_measured(registered: Registered) -> None:
    seen = trained().history
    with running(registered.live(as_measured=True)) as port:
        found = Client(port).items({"user_id": "u0", "k": 30})
    assert sorted(found) == sorted(
        set(seen.item_ids) - {seen.item_ids[item] for item in seen.items[seen.users == 0]}
    )


@pytest.mark.parametrize("inline_flop", [0, 1e12])
def test_many_clients_at_once(
    registered: Registered, monkeypatch: pytest.MonkeyPatch, inline_flop: float
) -> None:
    """In the event loop and in the thread, batched with whatever else was asked."""
    monkeypatch.setattr(batching, "INLINE_FLOP", inline_flop)
    model = trained()
    users = list(model.history.user_ids) * 5
    expected = Recommender(model.model, model.parts.interactions).recommend(users, 5)
    with running(registered.live()) as port, ThreadPoolExecutor(16) as pool:
        here = threading.local()

        def ask(user_id: str) -> list[str]:
            here.client = getattr(here, "client", None) or Client(port)
            return here.client.items({"user_id": user_id, "k": 5})

        assert list(pool.map(ask, users)) == [[i for i, _ in each.items] for each in expected]


def test_a_new_champion_under_load(registered: Registered) -> None:
    live, seen, enough = registered.live(), [], threading.Event()
    new = another()

    def load(port: int) -> list[tuple[int, str]]:
        client, mine = Client(port), []
        while not enough.is_set():
            status, found = client.post("/recommend", {"history": ["i1", "i2"]})
            mine.append((status, found["version"]))
            if len(mine) >= 20:
                warm.release()
        return mine

    warm = threading.Semaphore(0)
    with running(live) as port, ThreadPoolExecutor(8) as pool:
        clients = [pool.submit(load, port) for _ in range(8)]
        warm.acquire()
        registered.add(new)
        live.poll()
        assert live.problem is None
        after = Client(port).post("/recommend", {"history": ["i1", "i2"]})[1]
        for _ in range(20):
            warm.acquire()
        enough.set()
        seen = [client.result() for client in clients]
        expected = Recommender(new.model, new.parts.interactions).answer(
            [Question(history=["i1", "i2"])]
        )
    assert {status for mine in seen for status, _ in mine} == {200}
    for mine in seen:
        versions = [version for _, version in mine]
        assert versions == sorted(versions)
    assert {version for mine in seen for _, version in mine} == {"1", "2"}
    assert [i["item_id"] for i in after["items"]] == [item for item, _ in expected[0].items]


def test_the_alias_is_watched(registered: Registered) -> None:
    live = registered.live()
    swapped = threading.Event()
    poll, live.poll = live.poll, lambda: (poll(), live.current().version == "2" and swapped.set())
    live.watch(seconds=0.01)
    registered.add(another())
    assert swapped.wait(60)
    live.stop()


def test_a_broken_champion_leaves_the_old_one_serving(registered: Registered) -> None:
    live = registered.live()
    with running(live) as port:
        client = Client(port)
        assert client.get("/ready")[1]["problem"] is None
        registered.add(another())
        (registered.artifacts(2) / "weights.safetensors").write_bytes(b"broken")
        for _ in range(2):
            live.poll()
            status, ready = client.get("/ready")
            assert (status, ready["ready"], ready["version"]) == (200, True, "1")
            assert "version 2 cannot be served, version 1 still is" in ready["problem"]
            assert "weights.safetensors is not the file" in ready["problem"]
        assert "recommend_model_up_to_date 0" in client.get("/metrics")[1]
        assert client.post("/recommend", {"user_id": "u1"})[1]["version"] == "1"
        registered.point(1)
        live.poll()
        assert client.get("/ready")[1]["problem"] is None


def test_a_registry_that_was_made_anew_counts_from_one_again(registered: Registered) -> None:
    live = registered.live()
    with running(live) as port:
        client, ask = Client(port), {"history": ["i1", "i2"]}
        before = client.post("/recommend", ask)[1]
        registered.client.delete_registered_model(MODEL)
        registered.client.create_registered_model(MODEL)
        assert registered.add(another()) == 1
        live.poll()
        after = client.post("/recommend", ask)[1]
    assert (before["version"], after["version"]) == ("1", "1")
    assert before["items"] != after["items"]


def test_a_batch_has_a_bearable_answer(registered: Registered) -> None:
    with running(registered.live()) as port:
        body = {"requests": [{"user_id": "u1", "k": 1000}] * 101}
        status, found = Client(port).post("/recommend/batch", body)
    assert (status, found["detail"][:56]) == (
        400, "body: k of all requests add up to 101000, at most 100000",
    )  # fmt: skip


def test_mlflow_may_go_away(registered: Registered, tmp_path: Path) -> None:
    live = registered.live()
    with running(live) as port:
        client = Client(port)
        with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
            database.execute("ALTER TABLE registered_model_aliases RENAME TO away")
            live.poll()
            assert client.get("/ready")[1]["problem"].startswith("MLflow at sqlite:")
            assert client.post("/recommend", {"user_id": "u1"})[0] == 200
            database.execute("ALTER TABLE away RENAME TO registered_model_aliases")
        live.poll()
        assert client.get("/ready")[1]["problem"] is None


@pytest.mark.slow
def test_a_tracking_server_that_stops(tmp_path: Path) -> None:
    """Files come over HTTP; afterwards nobody is needed."""
    fresh_store(tmp_path)
    server = TrackingServer(tmp_path / "mlflow.db")
    server.start()
    try:
        registered = Registered(tmp_path, server.uri)
        registered.add()
        live = registered.live()
    finally:
        server.stop()
    with running(live) as port:
        live.poll()
        client = Client(port)
        assert client.get("/ready")[1]["problem"].startswith(f"MLflow at {server.uri}: ")
        assert client.post("/recommend", {"user_id": "u1"})[0] == 200


def test_a_taken_port() -> None:
    with listen("127.0.0.1", 0) as taken, socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        for port in (taken.getsockname()[1], 70_000):
            with pytest.raises(SettingsError, match="choose another with --port"):
                listen("127.0.0.1", port)
    for host in ("1.2.3.4", "nowhere.invalid"):
        with pytest.raises(SettingsError, match="choose another with --host"):
            listen(host, 0)
