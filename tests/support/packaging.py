"""The source archive of this checkout, and the wheel that is built from it; no network."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path

from tests.support.paths import ROOT


def _build(kind: str, source: Path, out: Path) -> Path:
    """Build with the backend of pyproject.toml, in the environment of the tests."""
    code = f"from hatchling.build import build_{kind}; print(build_{kind}({str(out)!r}))"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=source, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return out / result.stdout.splitlines()[-1]


def build_archives(folder: Path) -> tuple[Path, Path]:
    """The paths of the sdist and of the wheel that is built from the unpacked sdist."""
    sdist = _build("sdist", ROOT, folder)
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    (tree,) = (folder / "unpacked").iterdir()
    return sdist, _build("wheel", tree, folder)
