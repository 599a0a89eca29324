"""The dashboard shows a study and what it keeps, and lets nobody change it."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from hpo.study.files.artifacts import artifact_folder
from tests.support.dashboards import Answer, ask, listed, serve, study
from tests.support.fake_study import FakeStudy, locations

__all__ = ["study"]


@pytest.fixture(scope="module")
def read_only(study: FakeStudy) -> Iterator[str]:
    server = serve(study, allow_writes=False)
    yield server.address
    server.stop()


def test_reading_works(read_only: str) -> None:
    studies = json.loads(ask(f"{read_only}/api/studies").body)
    assert [summary["study_name"] for summary in studies["study_summaries"]] == ["fake-demo"]
    page = ask(f"{read_only}/dashboard/studies/1/trials?numbers=0", Host="localhost:1")
    assert (page.status, "<html" in page.body) == (200, True)
    assert ask(f"{read_only}/api/studies", "HEAD").status == 200


PAGES = ("/dashboard", "/dashboard/studies/1/trials?numbers=0")


def headers_of(url: str, method: str, **conditions: str) -> dict[str, str]:
    """Headers of a page that is there, by their names in lower case."""
    named = {name.replace("_", "-"): value for name, value in conditions.items()}
    request = urllib.request.Request(url, method=method, headers=named)
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status == 200
        assert method == "HEAD" or len(answer.read()) == int(answer.headers["Content-Length"])
        return {name.lower(): value for name, value in answer.headers.items()}


@pytest.mark.parametrize("path", PAGES)
def test_a_page_says_that_it_is_read_only(read_only: str, path: str) -> None:
    body = ask(read_only + path).body
    assert body.count('<div id="read-only"') == 1
    assert '[aria-label="delete study"]' in body
    assert body.rstrip().endswith("</body>\n</html>")
    answers = [headers_of(read_only + path, method) for method in ("GET", "HEAD")]
    assert answers[0]["content-length"] == answers[1]["content-length"] == str(len(body.encode()))


def test_a_page_from_before_is_not_used_again(read_only: str) -> None:
    """A browser may keep one that was sent where writes are allowed, or by another version."""
    tomorrow = "Fri, 01 Jan 2100 00:00:00 GMT"
    page = f"{read_only}/dashboard"
    headers = headers_of(page, "GET", If_Modified_Since=tomorrow, Range="bytes=0-9")
    assert headers["cache-control"] == "no-store"
    assert not {"last-modified", "etag"} & set(headers)


def test_a_line_is_put_into_pages_alone(read_only: str) -> None:
    """A kept report is HTML, too."""
    for path in (listed(read_only)["report.html"], "/api/studies/1", "/csv/1"):
        assert "read-only" not in ask(read_only + path).body


def test_what_a_study_keeps_is_shown_and_served(read_only: str) -> None:
    shown = listed(read_only)
    assert set(shown) == {"report.html", "history.png", "item_vecs.npy", "model_meta.json"}
    assert shown["report.html"].count("/") == 3  # on the study's page; the model on its trial's
    assert shown["item_vecs.npy"].count("/") == 4
    assert ask(read_only + shown["report.html"]) == Answer(200, "report.html, first")
    model = ask(read_only + shown["item_vecs.npy"])
    assert model == Answer(200, "item_vecs.npy of trial 0, first")
    foreign = {"Origin": "http://evil.example"}
    assert ask(read_only + shown["report.html"], **foreign).status == 403


def test_what_a_study_keeps_cannot_be_changed(study: FakeStudy, read_only: str) -> None:
    shown = listed(read_only)
    for path in shown.values():
        assert ask(f"{read_only}/api{path}", "DELETE").status == 405
    for path in ("/api/artifacts/1", "/api/artifacts/1/1"):
        assert ask(read_only + path, "POST").status == 405
    assert listed(read_only) == shown
    assert len(list(artifact_folder(study.locations.storage).iterdir())) == 4


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/api/studies/1"),
        ("POST", "/api/studies"),
        ("POST", "/api/studies/1/rename"),
        ("POST", "/api/trials/1/tell"),
        ("POST", "/api/trials/1/user-attrs"),
        ("PUT", "/api/studies/1/note"),
        ("PUT", "/api/studies/1/1/note"),
        ("PATCH", "/api/studies/1"),
        ("OPTIONS", "/api/studies/1"),
    ],
)
@pytest.mark.parametrize(
    "headers", [{}, {"Origin": "http://evil.example"}, {"Host": "evil.example"}]
)
def test_writing_is_refused_and_changes_nothing(
    study: FakeStudy, read_only: str, method: str, path: str, headers: dict[str, str]
) -> None:
    before = study.study.get_trials(), study.storage.get_all_studies()
    assert ask(read_only + path, method, **headers).status == (403 if headers else 405)
    now = study.study.get_trials(), study.storage.get_all_studies()
    assert [vars(item) for item in now[1]] == [vars(item) for item in before[1]]
    assert now[0] == before[0]


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", ""])
def test_a_foreign_host_is_refused(read_only: str, host: str) -> None:
    assert ask(f"{read_only}/api/studies", Host=host).status == 403


@pytest.mark.parametrize("host", ["127.0.0.1", "LOCALHOST:99", "[::1]:8080", "known"])
def test_a_known_host_is_served(read_only: str, host: str) -> None:
    assert ask(f"{read_only}/api/studies", Host=host).status == 200


def test_writes_when_allowed_but_not_for_other_sites(tmp_path: Path) -> None:
    study = FakeStudy(locations(tmp_path))
    server = serve(study, allow_writes=True)
    url = f"{server.address}/api/studies/1"
    assert "read-only" not in ask(f"{server.address}/dashboard").body
    assert ask(url, "DELETE", Origin="http://evil.example").status == 403
    assert ask(url, "DELETE", Origin=server.address).status == 204
    assert study.storage.get_all_studies() == []
    server.stop()
