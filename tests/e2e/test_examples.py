"""The notebooks run from the first cell to the last, in a kernel and folder of their own."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.support.commands import environment
from tests.support.paths import ROOT
from tests.support.scripted import make_study, study_config

NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))


def outputs(notebook: nbformat.NotebookNode) -> str:
    """All text that the cells show."""
    return "\n".join(
        output.get("text") or "".join(output.get("data", {}).values())
        for cell in notebook.cells
        for output in cell.get("outputs", [])
    )


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path, tmp_path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "clear the outputs"
    (tmp_path / "studies").mkdir()
    make_study(tmp_path / "studies", study_config())  # of another notebook in the same folder
    client = NotebookClient(notebook, timeout=None, resources={"metadata": {"path": tmp_path}})
    client.execute(env=environment())
    shown = outputs(notebook)
    if path.stem == "1_first_study":
        assert "best recall_at_10 so far: 0." in shown  # the live view, in one output of the cell
        assert shown.count("best recall_at_10 so far") == 1
        assert (tmp_path / "studies/reports/smoke-demo/report.html").exists()
    if path.stem == "3_serving":
        assert "True 0." in shown
