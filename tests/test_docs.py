"""The documents are true: their commands and options exist, their links lead somewhere."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from hpo.config.toml_file import load_study_config
from recsys.config import TrainConfig
from tests.support.commands import ROOT, environment, shop, study_file

DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "README.es.md", "CONTRIBUTING.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
TEXTS = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in DOCUMENTS}
TEXT = "\n".join(TEXTS.values())
COMMANDS = (
    "hpo.run",
    "hpo.sync",
    "hpo.dashboard",
    "hpo.promote",
    "hpo.serve",
    "hpo.recommend",
    "hpo.report",
    "hpo.compare",
    "hpo.replay",
    "hpo.retrain",
    "recsys.train",
    "recsys.evaluate",
    "recsys.plan",
)
SERVERS = ("hpo.dashboard", "models serve")  # run until stopped; they have tests of their own


def help_of(module: str) -> str:
    result = subprocess.run(
        [sys.executable, "-m", module, "--help"],
        capture_output=True,
        text=True,
        check=True,
        env=environment(),
    )
    return result.stdout


def todays_commands() -> list[str]:
    table = (
        TEXTS["docs/commands.md"]
        .split("| original command | today's command |\n|---|---|\n")[1]
        .split("\n\n")[0]
    )
    return [row.split("|")[2].strip(" `") for row in table.splitlines()]


@pytest.mark.parametrize("module", COMMANDS)
def test_every_command_explains_itself_with_an_example(module: str) -> None:
    text = help_of(module)
    assert f"python -m {module}" in text.split("example")[1]
    assert f"`python -m {module}`" in TEXTS["docs/commands.md"]


@pytest.mark.parametrize("module", COMMANDS)
def test_documented_options_exist(module: str) -> None:
    options = set()
    for match in re.finditer(rf"python -m {re.escape(module)}([^`\n#]*)", TEXT):
        options |= set(re.findall(r"--[a-z][a-z-]*", match[1]))
    known = set(re.findall(r"--[a-z][a-z-]*", help_of(module)))
    assert options <= known


def test_shared_options_are_in_every_hpo_command() -> None:
    for module in COMMANDS[:4]:
        text = help_of(module)
        for option in ("--study-name", "--storage", "--tracking-uri", "--experiment-name"):
            assert option in text


def test_the_documented_study_file_loads(tmp_path: Path) -> None:
    text, *_ = re.findall(r"```toml\n(.*?)```", TEXTS["docs/studies.md"], re.DOTALL)
    path = tmp_path / "study.toml"
    path.write_text(text, encoding="utf-8")
    assert load_study_config(path, {}).train_config.temperature == 0.15


def test_todays_commands_run(tmp_path: Path) -> None:
    shop(tmp_path)
    for command in todays_commands():
        if any(server in command for server in SERVERS):
            continue
        words = shlex.split(command)
        if "hpo.run" in words:  # the same on a small study
            words[words.index("--n-trials") + 1] = "2"
            words += [
                "--data",
                "interactions.csv",
                "--study",
                str(study_file(tmp_path)),
                "--no-report",
            ]
        program = {"python": [sys.executable], "mlflow": [sys.executable, "-m", "mlflow"]}
        result = subprocess.run(
            [*program[words[0]], *words[1:]],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            env=environment(MLFLOW_TRACKING_URI="sqlite:///studies/mlflow.db"),
        )
        assert result.returncode == 0, f"{command}\n{result.stdout}{result.stderr}"
        if "search_runs" in command:
            assert "recall_at_10" in result.stdout
    assert {path.name for path in (tmp_path / "artifacts").iterdir()} >= {
        "user_vecs.npy",
        "item_vecs.npy",
        "model_meta.json",
    }


DECISIONS = sorted((ROOT / "docs/decisions").glob("[0-9]*.md"))


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.stem)
def test_a_decision_says_what_would_show_it_wrong(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    title, *sections = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    assert title.startswith(f"{int(path.name[:4])}. ")
    assert sections == ["Context", "Decision", "Consequences", "Wrong if"]
    assert all(part.strip() for part in re.split(r"^## .*$", text, flags=re.MULTILINE))


def test_the_index_names_every_decision_and_its_title() -> None:
    index = (ROOT / "docs/decisions/README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \[(\d+)\]\((.*?)\) \| (.*?) \|$", index, re.MULTILINE)
    titles = [path.read_text(encoding="utf-8").splitlines()[0] for path in DECISIONS]
    assert [name for _, name, _ in rows] == [path.name for path in DECISIONS]
    assert [f"# {number}. {title}" for number, _, title in rows] == titles


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(path: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)", path.read_text(encoding="utf-8"))
    local = [link for link in links if "://" not in link]
    made = {"study_reference.md"}  # by docs/hooks.py
    assert [link for link in local if link not in made and not (path.parent / link).exists()] == []


def test_the_readme_is_short() -> None:
    for name in ("README.md", "README.es.md"):
        assert len(TEXTS[name].splitlines()) <= 250


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    site = tmp_path / "site"
    result = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", site],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    reference = (site / "study_reference.html").read_text(encoding="utf-8")
    assert all(f"<code>{name}</code>" in reference for name in TrainConfig.names())
