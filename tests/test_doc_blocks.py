"""Every block of code and every command in the documents runs, or a list says why it does not.

Python runs whole, study files are read, our own commands go through their parsers, `hpo run` up to
the study that it would start. What cannot run here is in NOT_RUN, with the reason; an entry without
a use fails, as does a block in an unknown language.
"""

from __future__ import annotations

import ast
import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from contextlib import chdir
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from hpo.cli.program import COMMANDS as HPO
from hpo.config.toml_file import load_study_config
from hpo.errors import SettingsError
from hpo.run import main as hpo_run
from hpo.serving.schemas import RecommendRequest
from recsys.__main__ import COMMANDS as RECSYS
from tests.support.commands import environment, shop
from tests.support.doc_blocks import DOCUMENTS, Snippet, blocks, commands
from tests.support.paths import ROOT

MODULES = {
    f"{program}.{name}": about.module
    for program, table in (("hpo", HPO), ("recsys", RECSYS))
    for name, about in table.items()
}
SHELLS = ("bash", "powershell")
FIGURES = ("README.md", "README.es.md", "docs/architecture.md")  # the launcher in boxes

# The first words of commands that are not run here, with the reason.
NOT_RUN = {
    "source .venv/bin/activate": "changes the reader's own shell",
    r".venv\Scripts\Activate.ps1": "changes the reader's own shell",
    "export": "sets a variable of the reader's own shell",
    "$env:MLFLOW_TRACKING_URI": "sets a variable of the reader's own shell",
    "python3 -m venv": "Python's own; tests/e2e/test_installed.py makes one",
    "py -3.11 -m venv": "Python's own, on Windows",
    "pip install": "its extras are checked; tests/e2e/test_installed.py installs the wheel",
    ".venv/bin/python -m pip install": "as pip install",
    r".venv\Scripts\python -m pip install": "as pip install",
    "python -m build": "tests/test_package.py builds both archives",
    "python -m hpo.config.json_schema": "tests/hpo/config compares the file with its output",
    "mlflow models serve": "tests/integration/promotion runs it",
    "mlflow ui": "a server of MLflow, named as what was before",
    "mlflow experiments list": "a command of MLflow before, which is gone",
    "mlflow experiments search": "tests/test_docs.py runs it",
    "mlflow runs search": "a command of MLflow before, which is gone",
    "python -c": "tests/test_docs.py runs it",
    "docker compose up": "needs Docker; tests/test_compose.py reads the file",
    "docker compose exec": "needs Docker; tests/test_team.py reads the file",
    "docker compose run": "needs Docker; tests/test_team.py reads the file",
    "ray start": "Ray's own; tests/support/ray_nodes.py starts nodes",
    "ray job submit --working-dir": "Ray's own; it sends a folder to the nodes",
    "optuna storage upgrade": "Optuna's own",
}

ALL_BLOCKS = [block for path in DOCUMENTS for block in blocks(path)]
LINES = [
    (f"{block}", line)
    for block in ALL_BLOCKS
    if block.language in SHELLS
    for line in block.text.splitlines()
    if line.strip() and not line.lstrip().startswith("#")
]
INLINE = [snippet for path in DOCUMENTS for snippet in commands(path)]


def words_of(line: str) -> list[str]:
    """Words of a line of a shell or crontab, without comment and redirection.

    PowerShell's backslashes stay.
    """
    line = re.sub(r"^(?:[\d*/,-]+ +){5}cd \S+ && | >> \S+ 2>&1$", "", line)
    return shlex.split(line.replace("\\", "\\\\"), comments=True)


def reason_of(words: Sequence[str]) -> str | None:
    """The beginning in NOT_RUN that a command has, or None."""
    text = " ".join(words)
    found = [key for key in NOT_RUN if text == key or text.startswith(f"{key} ")]
    return found[0] if found else None


def ours(words: Sequence[str]) -> tuple[str, list[str]] | None:
    """The module and the arguments of a command of ours; None for another program."""
    if list(words[:4]) == ["ray", "job", "submit", "--"]:
        words = words[4:]
    if words[1:2] == ["-m"] and words[0] in ("python", "python3", ".venv/bin/python"):
        name, rest = words[2], list(words[3:])
    elif words[0] in ("hpo", "recsys") and len(words) > 1:
        name, rest = f"{words[0]}.{words[1]}", list(words[2:])
    else:
        name, rest = words[0], list(words[1:])
    module = MODULES.get(name.replace("_", "-"), MODULES.get(name))
    return (module, rest) if module else None


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a reader with a checkout: study files, nothing else."""
    shutil.copytree(ROOT / "studies", tmp_path / "studies", ignore=lambda *_: ["LOG.md"])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def check(words: Sequence[str]) -> None:
    """Run a command as far as it can be run in no time; fail if it is wrong or unknown."""
    if found := ours(words):
        module, arguments = found
        options = import_module(module).parser().parse_args(arguments)
        if module == "hpo.run":
            assert hpo_run([*arguments, "--print-config"]) == 0
        elif module == "hpo.cli.init":
            with TemporaryDirectory() as empty, chdir(empty):
                assert import_module(module).main(arguments) == 0
                assert (options.out or Path(f"studies/{options.name}.toml")).exists()
    elif words[0] == "make":
        makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
        assert re.search(rf"^{words[1]}:", makefile, re.MULTILINE), f"no target {words[1]}"
    elif words[0] == "curl":
        url, flag, body = words[1:]
        assert (url, flag) == ("http://127.0.0.1:8000/recommend", "-d")
        RecommendRequest.model_validate_json(body)
    elif " ".join(words) in ("hpo --help", "hpo --version"):
        program = [sys.executable, "-m", *words]
        subprocess.run(program, check=True, capture_output=True, env=environment())
    elif words[0] == "python" and "benchmarks" in " ".join(words[1:3]):
        check_benchmark(words)
    else:
        assert reason_of(words), f"{shlex.join(words)}: run it, or say in NOT_RUN why not"
        check_extras(" ".join(words))


def check_benchmark(words: Sequence[str]) -> None:
    """Look for the benchmark, and in its source for its options and those that it must be given."""
    at = 2 if words[1] == "-m" else 1
    path = words[at].replace(".", "/") + ".py" if at == 2 else words[at]
    source = (ROOT / path).read_text(encoding="utf-8")
    options = [word for word in words[at + 1 :] if word.startswith("-")]
    assert all(f'"{option}"' in source for option in options)
    assert required_options(source) <= set(options)


def required_options(source: str) -> set[str]:
    """The options without which a program ends at once."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return {
        str(ast.literal_eval(call.args[0]))
        for call in calls
        if any(word.arg == "required" for word in call.keywords) and call.args
    }


def check_extras(text: str) -> None:
    """Look for the extras that a pip install names."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for extras in re.findall(r"pip install.*(?:two-tower-hpo|\.)\[([\w,]+)\]", text):
        assert set(extras.split(",")) <= set(project["optional-dependencies"])


def test_every_block_has_a_language_that_is_run() -> None:
    for block in ALL_BLOCKS:
        if block.language == "" and block.document in FIGURES:
            assert "── launcher ──" in block.text, block
        else:
            assert block.language in ("python", "toml", *SHELLS), f"{block}: {block.language!r}"
    figures = [block.document for block in ALL_BLOCKS if block.language == ""]
    assert figures == [name for name in FIGURES if name in figures] == list(FIGURES)


@pytest.mark.parametrize(("where", "line"), LINES, ids=[where for where, _ in LINES])
def test_a_command_in_a_block_is_right(where: str, line: str, reader: Path) -> None:
    assert (reader / "studies").exists(), where
    try:
        check(words_of(line))
    except (SystemExit, SettingsError) as error:
        pytest.fail(f"{where}: {line}: {error}")


@pytest.mark.parametrize("snippet", INLINE, ids=str)
def test_a_command_between_backticks_is_right(snippet: Snippet, reader: Path) -> None:
    """It may be a part of one (`hpo.run --json`), so its options are looked for."""
    assert (reader / "studies").exists()
    words = words_of(re.sub(r"\[(-.*?)\]", r"\1", snippet.text))
    found = ours(words)
    if found is None or found[0] == "hpo.cli.init":
        check(words)
        return
    parser = import_module(found[0]).parser()
    known = {option for action in parser._actions for option in action.option_strings}
    assert {word for word in found[1] if word.startswith("-")} <= known, snippet


def test_every_reason_is_needed() -> None:
    told = [words_of(line) for _, line in LINES] + [words_of(each.text) for each in INLINE]
    used = {reason_of(words) for words in told if words and not ours(words)}
    assert set(NOT_RUN) <= used


@pytest.mark.parametrize(
    "block", [block for block in ALL_BLOCKS if block.language == "toml"], ids=str
)
def test_a_study_file_is_read(
    block: Snippet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part of one is read with the least that a study has."""
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    whole = (
        block.text
        if "[space]" in block.text
        else f"{block.text}\n[space]\nlr = {{ low = 0.1, high = 1 }}"
    )
    path = tmp_path / "study.toml"
    path.write_text(whole, encoding="utf-8")
    load_study_config(path, {})


def spoken(path: Path) -> str:
    """The Python of a document, as a reader pastes it, one block after the other."""
    return "\n".join(block.text for block in blocks(path) if block.language == "python")


def test_the_readmes_show_the_same_python() -> None:
    english, spanish = (ast.parse(spoken(ROOT / name)) for name in ("README.md", "README.es.md"))
    assert ast.dump(english) == ast.dump(spanish)


def test_the_model_of_your_own_is_the_example() -> None:
    (model, _) = [b.text for b in blocks(ROOT / "docs/own_model.md") if b.language == "python"]
    assert model == (ROOT / "examples/als.py").read_text(encoding="utf-8")


def test_the_python_of_all_documents_runs(tmp_path: Path) -> None:
    """As one reader pastes it, in one folder and one process: most of its time is imports."""
    shop(tmp_path)
    shutil.copy(ROOT / "examples/als.py", tmp_path)
    study = (ROOT / "examples/als.toml").read_text(encoding="utf-8")
    (tmp_path / "als.toml").write_text(study.replace("n_trials = 20", "n_trials = 1"))
    code = "\n".join(spoken(path) for path in DOCUMENTS if path.name != "README.es.md")
    result = subprocess.run(
        [sys.executable, "-c", code.replace("from __future__ import annotations\n", "")],
        cwd=tmp_path, capture_output=True, text=True, check=False, env=environment(),
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "\n(('p" in result.stdout  # recommendations of the README
    assert "study als-demo" in result.stdout


def test_an_option_that_a_benchmark_must_be_given_is_found() -> None:
    source = 'p.add_argument("--data", type=Path, required=True)\np.add_argument("--k", type=int)'
    assert required_options(source) == {"--data"}


def test_what_is_wrong_is_found(reader: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for wrong in (
        "hpo run --n-trails 5",
        "python -m hpo.promote --seeds x",
        "hpo run --study missing",
        "hpo run --set space.dim.hihg=1",
    ):
        with pytest.raises((SystemExit, SettingsError)):
            check(words_of(wrong))
    for unknown in ("make missing", "rm -r studies", 'curl http://host -d "{}"'):
        with pytest.raises(AssertionError):
            check(words_of(unknown))
    with pytest.raises(AssertionError):
        check_extras('pip install "two-tower-hpo[grafana]"')
    assert reader.exists()
    capsys.readouterr()
    body = json.dumps({"user": "196"})
    with pytest.raises(ValueError, match="user"):
        check(["curl", "http://127.0.0.1:8000/recommend", "-d", body])
