"""START, the first page of a desk: what this is, the map of the chapters and what is done of them, where the pages of the mesh are."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from lab_helpers.core.errors import LabError
from lab_helpers.course.desk.folder import ANEW, NOTEBOOKS, Desk
from lab_helpers.lab import chapters

FIRST = """# Istio by experiment

This folder is yours. The chapters in it are notebooks: run their cells one after the other (**Shift+Enter**), write your predictions and
answers into them, change what you like. Nothing that you have changed is ever overwritten.
"""
WHERE = """## What is where

- `my/` is for manifests of your own: exercises write theirs there.
- `manifests/` has a copy of everything that the chapters apply. Change a file there and apply it again; delete it, and it comes back the
  next time you open the desk.
- [The book's pages](book/lab.md) explain the lab. Words are in the [glossary](book/glossary.md), help is under
  [troubleshooting](book/troubleshooting.md).
- A terminal is under *File → New → Terminal*. Its `kubectl` and `istioctl` are the lab's, and so is its cluster. Files of a chapter, such
  as `04_bookinfo/01-productpage.yaml`, are called there as the chapter calls them after `cd manifests`.
- `progress()` in any chapter shows how far you are; this page counts anew when the desk is opened.
"""
AGAIN = """## Once more from the start

The cell `lab.checkpoint(…)` near the top of each chapter brings the *mesh* to where the chapter begins, whatever happened to it. To have
the *notebook* afresh, type in a terminal

```console
$ {command}
```

What you had is set aside under a name with the date. {solution}
"""
SOLUTION = 'Are you stuck? `solution("12.6")` in a cell shows the solution that check 12.6 asks for, after asking whether you are sure.'


def text(desk: Desk, done: pd.DataFrame, pages: dict[str, str], why: str = "") -> str:
    """START as Markdown.

    Parameters
    ----------
    desk : Desk
    done : DataFrame
        As `lab_helpers.lab.done.progress` gives it.
    pages : dict of str to str
        Addresses that a browser can open, by the name of what is there.
    why : str
        Without any: why not.
    """
    stems = chapters.stems()
    parts = [FIRST, _changed(desk), "## The chapters\n", _map(stems, done), _next(stems, done)]
    parts += [_pages(pages, why), WHERE, AGAIN.format(command=ANEW.format("NN_NAME").replace("NN_NAME", stems[0]), solution=SOLUTION)]
    return "\n".join(filter(None, parts))


def _map(stems: list[str], done: pd.DataFrame) -> str:
    rows = []
    for stem in stems:
        record = chapters.load(stem)
        rows.append(f"| [{_title(stem)}]({stem}.ipynb) | {record.question} | {record.minutes} | {_how_far(done.loc[stem])} |")
    return "\n".join(["| chapter | what it answers | minutes | done |", "|---|---|---:|---|", *rows, ""])


def _title(stem: str) -> str:
    """A chapter's title, as the course has it, whatever the learner has made of it."""
    cells = json.loads((NOTEBOOKS / f"{stem}.ipynb").read_text(encoding="utf-8"))["cells"]
    return "".join(cells[0]["source"]).splitlines()[0].removeprefix("# ")


def _how_far(row: pd.Series) -> str:
    if not row["passed"] and not row["answered"]:
        return ""
    told = f"{row['passed']} of {row['checks']} checks"
    mark = "✔ " if row["passed"] == row["checks"] else ""
    return f"{mark}{told}" + (f", {row['right']} of {row['answered']} predictions right" if row["answered"] else "")


def _next(stems: list[str], done: pd.DataFrame) -> str:
    left = [stem for stem in stems if done.loc[stem, "passed"] < done.loc[stem, "checks"]]
    if not left:
        return "You have passed every check of every chapter.\n"
    begun = "Go on with" if done["passed"].sum() else "Begin with"
    return f"{begun} [{_title(left[0])}]({left[0]}.ipynb). Any order works: each chapter brings the mesh to its own start.\n"


def _pages(pages: dict[str, str], why: str) -> str:
    head = "## The mesh, in your browser\n"
    if not pages:
        return f"{head}\n{why}\n"
    return "\n".join([head, *(f"- {name}: <{address}>" for name, address in pages.items()), ""])


def _changed(desk: Desk) -> str:
    if not desk.differing:
        return ""
    lines = ["## The course has changed\n", "You have worked in these files, so they stay as they are; the course's own differ now:\n"]
    for name, cells in desk.differing.items():
        lines.append(f"- `{name}`" + (f", as the course has it now, in {'; '.join(cells)}" if cells else ""))
        again = f"`{ANEW.format(Path(name).stem)}`" if name.endswith(".ipynb") else "delete yours and open the desk again"
        lines[-1] += f". To have it: {again}."
    return "\n".join([*lines, ""])


def addresses() -> tuple[dict[str, str], str]:
    """Pages of the mesh that a browser can open now, by name; and, if there are none, why."""
    from lab_helpers.lab import connect

    try:
        lab = connect(quiet=True, istio=False)
        known = lab.uis()
        found = {"Bookinfo": f"{lab.url}/productpage"}
        return found | {each["name"].capitalize(): each["address"] for _, each in known.iterrows() if each["address"]}, ""
    except LabError as error:
        return {}, f"{error.what} {error.do}".strip()
