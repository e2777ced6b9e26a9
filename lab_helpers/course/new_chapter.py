"""A new chapter: every file that one has, small and working, to be written over.

What it makes passes every rule that chapters are held to: the same stem everywhere, each manifest applied, each check with a test.
"""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from string import Template

import nbformat
import yaml

from lab_helpers.core.errors import LabError
from lab_helpers.core.paths import ROOT

TEMPLATES = files("lab_helpers.course") / "template"
STEM = re.compile(r"\d\d_[a-z][a-z0-9_]*")
EXERCISE = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: reviews
spec:
  hosts: [reviews]
  http:
    - route:
        - destination:
            host: reviews
"""
# The notebook, cell by cell: its kind (or its tags, for code) and its source.
CELLS = (
    (
        "markdown",
        "# $shown · $title\n\nWhat this is about.\n\n**When you are through, you can**\n\n- …\n\nAbout 25 minutes to read and try.",
    ),
    (
        "parameters",
        'namespace = "default"  # learners who share a cluster take one each\n'
        "context = None  # the embedded lab; or a context of your kubeconfig",
    ),
    ("nbval-ignore-output", "from lab_helpers.chapters.c$stem import *\n\nlab = connect(context, namespace=namespace)"),
    ("markdown", "## Checkpoint\n\nBookinfo with its sidecars. From any other state, this cell leads there."),
    ("nbval-ignore-output", 'lab.checkpoint("$stem")'),
    (
        "markdown",
        "## Step 1: …\n\nA `VirtualService` says …\n\n**Predict.** With a timeout of two seconds, how many of twenty requests fail?",
    ),
    ("", 'predict("$number.a", ["none", "some", "all"])'),
    ("", 'lab.apply("$stem/01-first.yaml")'),
    ("nbval-ignore-output", 'seen = lab.observe("reviews", n=20)\nseen.head()'),
    ("claim remove-cell", "assert (seen.status == 200).all()"),
    (
        "",
        'failed = int((seen.status != 200).sum())\n'
        'resolve("$number.a", "none" if not failed else "all" if failed == len(seen) else "some")',
    ),
    ("", 'check("$number.1", seen)'),
    ("markdown", "**Explain.** …"),
    ("markdown", "## Exercise: …\n\nHave the mesh wait no longer than one second, and keep what twenty requests then give as `mine`."),
    ("exercise", f"%%writefile my/$number-timeout.yaml\n{EXERCISE}      # Your turn: how long may it take?\n"),
    ("solution hide-cell", f"%%writefile my/$number-timeout.yaml\n{EXERCISE}      timeout: 1s\n"),
    ("nbval-ignore-output", 'lab.apply("my/$number-timeout.yaml")\nmine = lab.observe("reviews", n=20)'),
    ("", 'check("$number.1", mine)'),
    ("markdown", "## Clean-up"),
    ("", 'lab.delete("my/$number-timeout.yaml")'),
    ("markdown", "## Summary\n\n- …\n\n**On a real cluster** …"),
)  # fmt: skip


def make(stem: str, root: Path = ROOT) -> list[Path]:
    """Make the chapter `stem`: its notebook, manifest, record, check and test, and its line in ``_toc.yml``.

    Returns
    -------
    list of Path
        The files that were made or changed.

    Raises
    ------
    LabError
        The stem is not of the form ``NN_slug``, or its number or any of its files is taken; then nothing is made.
    """
    if not STEM.fullmatch(stem):
        raise LabError(f"{stem!r} cannot name a chapter.", "Two digits, an underline, lower-case letters: 09_virtual_service.")
    taken = sorted(path.stem for path in (root / "notebooks").glob(f"{stem[:2]}_*.ipynb"))
    if taken:
        raise LabError(f"There is a chapter {stem[:2]} already: {taken[0]}.", "Take another number.")
    names = {"stem": stem, "number": stem[:2], "shown": str(int(stem[:2])), "title": stem[3:].replace("_", " ").capitalize()}
    folder = root / "lab_helpers" / "chapters" / f"c{stem}"
    made = {
        root / "notebooks" / f"{stem}.ipynb": nbformat.writes(_notebook(names)) + "\n",
        root / "manifests" / stem / "01-first.yaml": _filled("manifest.yaml.txt", names),
        folder / "__init__.py": _filled("chapter.py.txt", names),
        folder / "checks.py": _filled("checks.py.txt", names),
        root / "tests" / "chapters" / f"test_{stem}.py": _filled("test.py.txt", names),
    }
    if there := [path for path in made if path.exists()]:
        raise LabError(f"{there[0].relative_to(root)} exists already.", "Take another name, or move it away.")
    for path, text in made.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    toc = root / "_toc.yml"
    toc.write_text(_with_chapter(toc.read_text(encoding="utf-8"), stem), encoding="utf-8")
    return [*made, toc]


def _filled(template: str, names: dict[str, str]) -> str:
    return Template((TEMPLATES / template).read_text(encoding="utf-8")).substitute(names)


def _notebook(names: dict[str, str]) -> nbformat.NotebookNode:
    cells = []
    for order, (kind, source) in enumerate(CELLS, 1):
        text, identity = Template(source).substitute(names), f"{names['number']}-{order}"
        if kind == "markdown":
            cells.append(nbformat.v4.new_markdown_cell(text, id=identity))
        else:
            cells.append(nbformat.v4.new_code_cell(text, id=identity, metadata={"tags": kind.split()}))
    kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}, "language_info": {"name": "python"}}
    return nbformat.v4.new_notebook(cells=cells, metadata=kernel)


def _with_chapter(toc: str, stem: str) -> str:
    """``_toc.yml`` with one more line: after the last chapter whose number is lower, or as the first one."""
    new = f"      - file: notebooks/{stem}"
    lines = toc.splitlines()
    here = [at for at, line in enumerate(lines) if (found := re.match(r" +- file: notebooks/(\d\d)_", line)) and found[1] < stem[:2]]
    first = next((at for at, line in enumerate(lines) if "- file: notebooks/" in line), len(lines))
    lines.insert(here[-1] + 1 if here else first, new)
    text = "\n".join(lines) + "\n"
    if new.strip()[2:] not in text or not yaml.safe_load(text):
        raise LabError("_toc.yml has no list of chapters.", "Add the line by hand.")
    return text
