"""Hooks of the documentation site: pages made from files elsewhere in the repository.

Links between documents are paths in the repository, so that they work wherever the files are read.
The hooks turn them into links between pages.
"""

from __future__ import annotations

import json
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
INCLUDED = {
    "README.md": "index.md",
    "README.es.md": "es.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "benchmarks/RESULTS.md": "results.md",
    "studies/LOG.md": "log.md",
}
SOURCES = {page: source for source, page in INCLUDED.items()}
REFERENCE = "study_reference.md"
LINK = re.compile(r"(?<=\]\()([^)#\s:]+)(?=[)#])")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the included documents, the notebooks and the reference of study files.

    Args:
        files: the files of the folder docs.
        config: the configuration of the site.
    """
    for source, page in INCLUDED.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=text))
    for notebook in sorted((ROOT / "examples").glob("*.ipynb")):  # to download
        text = notebook.read_text(encoding="utf-8")
        files.append(File.generated(config, f"examples/{notebook.name}", content=text))
    files.append(File.generated(config, REFERENCE, content=study_reference()))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Return a page's Markdown with its links between files turned into links between pages.

    Args:
        markdown: the text of the page.
        page: the page.
    """
    name = page.file.src_uri
    folder = posixpath.dirname(SOURCES.get(name, f"docs/{name}"))

    def page_link(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(folder, match[1]))
        found = INCLUDED.get(target, target.removeprefix("docs/"))
        return posixpath.relpath(found, posixpath.dirname(name) or ".")

    return LINK.sub(page_link, markdown)


def study_reference() -> str:
    """Return the reference of study files, made from their JSON Schema."""
    schema = json.loads((ROOT / "studies/study.schema.json").read_text(encoding="utf-8"))
    parts = [
        "# Reference of study files",
        "Made from the models that read the files. [Study files](studies.md) explains them.",
        "## Top level",
        _table(schema["properties"]),
    ]
    for key, spec in schema["properties"].items():
        names = re.findall(r'"#/\$defs/(\w+)"', json.dumps(spec))
        for table in (
            schema["$defs"][name] for name in dict.fromkeys(names) if name != "Condition"
        ):
            parts += [f"## `[{key}]`", table["description"].split("\n\n")[0]]
            parts += [_table(table["properties"])]
    parts += [
        "## Hyperparameters",
        "Allowed in `[base]`, `[space]` and `[[warm_starts]]`, unless the study has a `trainable`.",
    ]
    parts += [_table(schema["then"]["properties"]["base"]["properties"])]
    parts += ["::: recsys.config.TrainConfig\n    options:\n      members: false"]
    return "\n\n".join(parts) + "\n"


def _table(properties: dict[str, Any]) -> str:
    """Return a Markdown table of keys, types, defaults and meanings.

    Args:
        properties: key -> its JSON Schema.
    """
    rows = ["| key | type | default | means |", "|---|---|---|---|"]
    for key, spec in properties.items():
        default = json.dumps(spec.get("default", {}))
        default = "" if default.startswith("{") else f"`{default}`"
        means = " ".join(spec.get("description", "").split()).replace("|", "\\|")
        rows.append(f"| `{key}` | {_kind(spec)} | {default} | {means} |")
    return "\n".join(rows)


def _kind(spec: dict[str, Any]) -> str:
    """Return the type of a key in words, with its range or choices."""
    if "enum" in spec:
        return ", ".join(f"`{value}`" for value in spec["enum"])
    if "anyOf" in spec:
        return " or ".join(_kind(choice) for choice in spec["anyOf"])
    kind = spec.get("type", "table")
    ends = [
        f"{sign} {spec[end]:g}"
        for end, sign in (
            ("minimum", "≥"),
            ("exclusiveMinimum", ">"),
            ("maximum", "≤"),
            ("exclusiveMaximum", "<"),
        )
        if end in spec
    ]
    return " ".join([{"object": "table", "array": "list"}.get(kind, kind), *ends])
