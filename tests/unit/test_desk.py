"""The learner's desk: chapters without answers, work that is never overwritten, and a JupyterLab of its own."""

import json
import os
import re
import shutil
import stat
import subprocess
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pandas as pd
import pytest
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from lab_helpers.core import paths
from lab_helpers.core.errors import HostError, LabError
from lab_helpers.course.desk import chapters, folder, jupyter, owner, prose, start
from lab_helpers.lab import chapters as records
from lab_helpers.lab.done import progress

STEM = "04_bookinfo"
ANSWER = re.compile(r'\banswer\s*=\s*(?!(\(|\{"\w+": )?\.\.\.|answer\b)\S')


@pytest.fixture(scope="module")
def given():
    """What a desk is given."""
    return folder.contents()


def course_cells(stem: str, *tags: str) -> list[str]:
    cells = nbformat.read(folder.NOTEBOOKS / f"{stem}.ipynb", as_version=4).cells
    return [cell.source for cell in cells if set(tags) & set(cell.metadata.get("tags", []))]


# What a learner gets.


@pytest.mark.parametrize("stem", records.stems())
def test_a_learners_chapter_holds_no_output_no_solution_and_no_answer(given, stem):
    notebook = nbformat.reads(given[f"{stem}.ipynb"].decode(), as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    text = "\n".join(cell.source for cell in notebook.cells)
    assert [cell.id for cell in code if cell.outputs or cell.execution_count is not None] == []
    assert not any({"solution", "claim"} & set(cell.metadata.get("tags", [])) for cell in code)
    for kept_back in course_cells(stem, "solution", "claim"):
        assert kept_back not in text
    assert [cell.source for cell in code if ANSWER.search(cell.source)] == []


@pytest.mark.parametrize("stem", records.stems())
def test_no_manifest_of_a_desk_is_the_solution_of_an_exercise(given, stem):
    cells = nbformat.reads(given[f"{stem}.ipynb"].decode(), as_version=4).cells
    told = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown" or "lab.apply(" in cell.source)
    named = [name for cell in course_cells(stem, "solution") for name in re.findall(r"\d\d_[a-z0-9_]+/[\w-]+", cell)]
    assert [name for name in named if name not in told] == [], "a learner has manifests/, and would find it there"
    written = [cell.partition("\n")[2] for cell in course_cells(stem, "solution") if cell.startswith("%%writefile")]
    solved = [[*yaml.safe_load_all(text)] for text in written]
    manifests = {name: content for name, content in given.items() if name.startswith(f"manifests/{stem}/")}
    assert [name for name, content in manifests.items() if [*yaml.safe_load_all(content)] in solved] == []


@pytest.mark.parametrize("stem", records.stems())
def test_exercises_are_skeletons(given, stem):
    sources = [cell.source for cell in nbformat.reads(given[f"{stem}.ipynb"].decode(), as_version=4).cells]
    assert set(course_cells(stem, "exercise")) <= set(sources)


def links(given: dict[str, bytes]) -> list[tuple[str, str]]:
    found = []
    for name, content in given.items():
        if not name.endswith((".ipynb", ".md")):
            continue
        text = content.decode()
        if name.endswith(".ipynb"):
            text = "\n".join(cell.source for cell in nbformat.reads(text, as_version=4).cells if cell.cell_type == "markdown")
        found += [(name, target) for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", text))]
    return found


def test_every_link_of_a_desk_leads_somewhere(given):
    there = {os.path.normpath(name) for name in given}
    found = [(name, target) for name, target in links(given) if not re.match(r"\w+:|#", target)]
    assert ("04_bookinfo.ipynb", "book/glossary.md") in found or found, "no link was found at all"
    dead = [(name, to) for name, to in found if os.path.normpath(Path(name).parent / to.partition("#")[0]) not in there]
    assert dead == []


def test_pages_of_the_book_are_plain_markdown(given):
    for name in (each for each in given if each.endswith(".md")):
        text = re.sub(r"`[^`\n]*`", "", given[name].decode())
        assert not re.search(r"^(```|:::)\{|\{[\w-]+\}`|\[\]\(", text, flags=re.MULTILINE), name
    assert b"| item | in the article | in the course |" in given.get("book/article.md", b"| item | in the article | in the course |")


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("# A\n\n[](lab.md) and [](lab.md#it)\n", "# A\n\n[The lab](lab.md) and [The lab](lab.md)\n"),
        ("```{include} _x.md\n```\n", "included\n"),
        ("```{include} _y.md\n```\n", f"{prose.ELSEWHERE}\n"),
        ("```{warning}\nHot.\nVery.\n```\n", "> **Warning.** Hot.\n> Very.\n"),
        ("```{figure} _static/a.svg\n:alt: A box\n:class: b\n\nWhat it is.\n```\n", "![A box](_static/a.svg)\n\nWhat it is.\n"),
        (":::{glossary}\nmTLS\n  TLS, twice.\n  Really.\n:::\n", "**mTLS.** TLS, twice.\nReally.\n"),
        ("Not root\n: Say so.\n  And again.\n\nMore\n", "**Not root.** Say so.\n  And again.\n\nMore\n"),
        (
            "{doc}`/notebooks/04_bookinfo` [c](../notebooks/04_bookinfo.ipynb)",
            "[04_bookinfo](../04_bookinfo.ipynb) [c](../04_bookinfo.ipynb)",
        ),
        ("{term}`mesh` {term}`meshes <mesh>` `{x}` `a`", "mesh meshes `{x}` `a`"),
        ("```console\n$ a: b\n```\n", "```console\n$ a: b\n```\n"),
    ],
)
def test_a_page_without_what_only_the_site_knows(text, plain):
    assert prose.plain(text, {"lab.md": "The lab"}, {"_x.md": "included"}) == plain


# Whose a file is.


def notebook(*sources: str) -> bytes:
    cells = [
        new_markdown_cell(each, id=f"m{at}") if each.startswith("#") else new_code_cell(each, id=f"c{at}")
        for at, each in enumerate(sources)
    ]
    return f"{nbformat.writes(new_notebook(cells=cells))}\n".encode()


BEFORE = {"04_bookinfo.ipynb": notebook("# Bookinfo", "## Step 1", "one", "## Step 2", "two"), "manifests/04_bookinfo/a.yaml": b"a: 1\n"}
AFTER = {
    "04_bookinfo.ipynb": notebook("# Bookinfo", "## Step 1", "one", "new", "## Step 2", "2", "two"),
    "manifests/04_bookinfo/a.yaml": b"a: 2\n",
}


@pytest.fixture
def desk(tmp_path):
    """A desk that has just been made, in a folder with a space in its name."""
    opened = folder.open_desk(tmp_path / "my desk", given=BEFORE)
    assert opened.made == list(BEFORE) and (tmp_path / "my desk" / "my").is_dir()
    return tmp_path / "my desk"


def state(desk: Path) -> dict[str, tuple]:
    return {
        str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in desk.rglob("*") if path.is_file() and path.name != "made.json"
    }


def run_and_save(path: Path, outputs=True, **changed: str) -> bytes:
    """What JupyterLab does with a notebook: it puts in what was printed, and notes of its own."""
    found = nbformat.read(path, as_version=4)
    found.metadata.language_info = {"name": "python", "version": "3"}
    for cell in found.cells:
        cell.source = changed.get(cell.source, cell.source)
        if cell.cell_type == "code" and outputs:
            cell.outputs, cell.execution_count = [new_output("stream", text="1")], 1
    nbformat.write(found, path)
    return path.read_bytes()


def test_opened_again_nothing_is_written(desk):
    before = state(desk)
    opened = folder.open_desk(desk, given=BEFORE)
    assert state(desk) == before and opened.told() == []


def test_what_nobody_has_touched_follows_the_course(desk):
    opened = folder.open_desk(desk, given=AFTER)
    assert {name: (desk / name).read_bytes() for name in AFTER} == AFTER
    assert opened.renewed == list(AFTER) and not opened.differing


def test_a_notebook_that_was_only_looked_at_follows_too(desk):
    run_and_save(desk / f"{STEM}.ipynb", outputs=False)
    assert folder.open_desk(desk, given=BEFORE).renewed == [f"{STEM}.ipynb"]
    assert folder.open_desk(desk, given=AFTER).differing == {}


@pytest.mark.parametrize("work", [{"outputs": True}, {"outputs": False, "two": "mine"}], ids=["run", "written"])
def test_work_is_never_overwritten_and_one_is_told_which_cells_differ(desk, work):
    mine = run_and_save(desk / f"{STEM}.ipynb", **work)
    (desk / "manifests/04_bookinfo/a.yaml").write_text("a: mine\n")
    assert folder.open_desk(desk, given=BEFORE).told() == []
    for _ in range(2):  # it is told until it is made afresh
        opened = folder.open_desk(desk, given=AFTER)
        assert (desk / f"{STEM}.ipynb").read_bytes() == mine and (desk / "manifests/04_bookinfo/a.yaml").read_text() == "a: mine\n"
        assert opened.differing == {f"{STEM}.ipynb": ["Step 1: cell 4", "Step 2: cell 6"], "manifests/04_bookinfo/a.yaml": []}
        assert "    Step 1: cell 4" in opened.told() and "is yours and stays" in opened.told()[0]


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff", b'{"cells": 1}'])
def test_a_notebook_that_is_none_any_more_stays_as_well(desk, content):
    (desk / f"{STEM}.ipynb").write_bytes(content)
    folder.open_desk(desk, given=AFTER)
    assert (desk / f"{STEM}.ipynb").read_bytes() == content


def test_without_its_record_everything_counts_as_the_learners(desk):
    mine = run_and_save(desk / f"{STEM}.ipynb")
    for record in ("", "[]", None):
        (desk / folder.MADE).write_text(record) if record is not None else (desk / folder.MADE).unlink()
        folder.open_desk(desk, given=AFTER)
        assert (desk / f"{STEM}.ipynb").read_bytes() == mine


def test_what_was_deleted_comes_again_and_what_the_course_drops_goes_unless_it_was_touched(desk):
    (desk / f"{STEM}.ipynb").unlink()
    assert folder.open_desk(desk, given=BEFORE).made == [f"{STEM}.ipynb"]
    run_and_save(desk / f"{STEM}.ipynb")
    folder.open_desk(desk, given={})
    assert (desk / f"{STEM}.ipynb").exists() and not (desk / "manifests/04_bookinfo/a.yaml").exists()


def test_a_chapter_afresh_sets_the_old_one_aside(desk):
    kept = []
    for work in ("one", "two"):
        kept.append(run_and_save(desk / f"{STEM}.ipynb", **{"two": work}))
        opened = folder.open_desk(desk, [STEM], AFTER)
        assert (desk / f"{STEM}.ipynb").read_bytes() == AFTER[f"{STEM}.ipynb"]
        assert re.fullmatch(rf"{STEM}\.\d{{4}}-\d\d-\d\d-\d{{6}}(-\d+)?\.ipynb", opened.aside[0])
        assert (desk / opened.aside[0]).read_bytes() == kept[-1] and opened.aside[0] in "".join(opened.told())
    aside = [path.read_bytes() for path in desk.glob(f"{STEM}.*-*.ipynb")]
    assert sorted(aside) == sorted(kept) and folder.open_desk(desk, [STEM], AFTER).aside == [], "what nobody has touched is not set aside"


def test_a_chapter_that_is_not_there_is_told_before_anything_is_touched(desk):
    before = state(desk)
    with pytest.raises(LabError, match="no chapter '04_bokinfo'") as caught:
        folder.open_desk(desk, ["04_bokinfo"], AFTER)
    assert STEM in caught.value.do and state(desk) == before


def test_a_desk_that_cannot_be_made_gets_a_sentence(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(HostError, match="cannot be"):
        folder.open_desk(tmp_path / "file" / "desk", given=BEFORE)
    (tmp_path / "desk" / f"{STEM}.ipynb.d").mkdir(parents=True)
    (tmp_path / "desk" / f".{STEM}.ipynb.new").mkdir()
    with pytest.raises(HostError, match="cannot be written") as caught:
        folder.open_desk(tmp_path / "desk", given=BEFORE)
    assert paths.DESK in caught.value.do


def test_what_is_gone_is_told_by_its_place():
    now = nbformat.reads(notebook("# A", "one", "## B", "three").decode(), as_version=4)
    before = nbformat.reads(notebook("# A", "one", "## B", "two", "three", "last").decode(), as_version=4)
    assert chapters.differences(chapters.fingerprints(before), now) == ["B: cells gone before 4 and gone before 4"]
    assert chapters.differences(chapters.fingerprints(now), now) == []


# START.


@pytest.fixture
def done():
    columns = {"checks": 5, "passed": 0, "predictions": 2, "answered": 0, "right": 0}
    return pd.DataFrame({stem: columns for stem in records.stems()}).T


def test_start_has_the_map_what_is_done_the_pages_and_how_to_begin_again(tmp_path, done):
    done.loc["01_service_mesh"] = [5, 5, 2, 2, 1]
    done.loc["02_lab_environment", "passed"] = 1
    text = start.text(folder.Desk(tmp_path), done, {"Zipkin": "http://192.0.2.1:1/zipkin/"})
    for stem in records.stems():
        assert re.search(rf"^\| \[{int(stem[:2])} · [^]]+\]\({stem}\.ipynb\) \| .+\? \| \d+ \|", text, flags=re.MULTILINE), stem
    assert "✔ 5 of 5 checks, 1 of 2 predictions right" in text and "| 1 of 5 checks |" in text
    assert "Go on with [2 ·" in text and "<http://192.0.2.1:1/zipkin/>" in text and "meshlab desk --fresh 01_service_mesh" in text
    assert "The course has changed" not in text


def test_start_says_what_differs_and_why_there_are_no_pages(tmp_path, done):
    differing = {"04_bookinfo.ipynb": ["Step 1: cell 4"], "manifests/a/b.yaml": []}
    text = start.text(folder.Desk(tmp_path, differing=differing), done, {}, "The embedded lab is not up.")
    assert "in Step 1: cell 4. To have it: `meshlab desk --fresh 04_bookinfo`" in text and "delete yours" in text
    assert "The embedded lab is not up." in text and "Begin with [1 ·" in text


def test_what_is_done_is_read_from_the_desk(tmp_path):
    known = {"checks": {"04.1": {"passed": True}, "04.2": {"passed": False}}, "predictions": {}}
    (tmp_path / "progress.json").write_text(json.dumps(known))
    assert progress(tmp_path).loc[STEM, "passed"] == 1


def test_start_is_made_anew_and_what_somebody_wrote_into_it_is_set_aside(desk):
    opened = folder.open_desk(desk, given=BEFORE)
    folder.put_start(opened, "one")
    folder.put_start(opened, "two")
    assert (desk / "START.md").read_text() == "two" and opened.aside == []
    folder.open_desk(desk, given=AFTER)
    (desk / "START.md").write_text("mine")
    folder.put_start(opened, "three")
    assert (desk / opened.aside[0]).read_text() == "mine" and (desk / "START.md").read_text() == "three"


# JupyterLab.


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """JupyterLab's settings for a desk, and its environment, where a lab is up."""
    kubeconfig = tmp_path / "kube config"
    kubeconfig.touch()
    monkeypatch.setattr(paths, "KUBECONFIG", kubeconfig)
    monkeypatch.setenv("JUPYTER_PATH", "/somebody/else's")
    monkeypatch.setenv("SHELL", shutil.which("bash"))
    root = tmp_path / "my desk"
    root.mkdir()
    environment = jupyter.prepare(root, root / folder.OURS)
    return json.loads((root / folder.OURS / "config" / "jupyter_server_config.json").read_text()), environment, root


def test_jupyterlab_is_on_loopback_asks_no_news_and_its_kernels_use_sockets(settings):
    config, environment, root = settings
    assert config["ServerApp"]["ip"] == "127.0.0.1" and config["KernelManager"] == {"transport": "ipc"}
    overrides = json.loads((Path(config["LabApp"]["app_settings_dir"]) / "overrides.json").read_text())
    assert overrides["@jupyterlab/apputils-extension:notification"]["fetchNews"] == "false"
    assert environment[paths.DESK] == str(root) and "JUPYTER_PATH" not in environment
    assert environment["JUPYTER_CONFIG_DIR"].startswith(str(root)), "none of the user's own"


def test_a_terminal_has_the_labs_tools_whatever_the_users_own_settings_do_to_path(settings, tmp_path):
    config, environment, root = settings
    (tmp_path / ".bashrc").write_text("PATH=/usr/bin:/bin; unset KUBECONFIG\n")
    command = [*config["ServerApp"]["terminado_settings"]["shell_command"], "-c", 'echo "$PATH|$KUBECONFIG|$MESHLAB_DESK"']
    command.remove("-i")
    rc = f". {json.dumps(command[command.index('--rcfile') + 1])}; {command[-1]}"
    told = subprocess.run([command[0], "-c", rc], env={**environment, "HOME": str(tmp_path)}, capture_output=True, text=True).stdout
    path, kubeconfig, desk = told.strip().split("|")
    assert str(paths.BIN) in path.split(":")[:2] and path.endswith("/usr/bin:/bin")
    assert (kubeconfig, desk) == (str(paths.KUBECONFIG), str(root))


@pytest.mark.parametrize(
    ("shell", "command"),
    [
        ("bash", ["bash", "--rcfile", "rc", "-i"]),
        ("zsh", ["zsh"]),
        ("nologin", ["bash", "--rcfile", "rc", "-i"]),
        ("gone", ["bash", "--rcfile", "rc", "-i"]),
    ],
)
def test_a_terminals_shell_is_the_users_and_none_for_logins(tmp_path, monkeypatch, shell, command):
    for name in ("bash", "zsh", "nologin"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("SHELL", str(tmp_path / shell))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert [Path(each).name for each in jupyter.terminal(Path("rc"))] == command


def test_sockets_are_for_nobody_else_and_their_path_is_short_enough(tmp_path, monkeypatch):
    long = tmp_path / ("a" * 80)
    long.mkdir()
    monkeypatch.setattr(jupyter.tempfile, "tempdir", str(long))
    with jupyter.runtime() as sockets:
        assert stat.S_IMODE(sockets.stat().st_mode) == 0o700 and not sockets.is_relative_to(long)
        assert len(str(sockets)) + len(jupyter.SOCKET) - len("/meshlab-12345678") <= jupyter.LONGEST
    assert not sockets.exists()


def test_a_throw_away_desk_has_what_a_chapter_needs():
    with folder.throw_away() as desk:
        assert (desk / "my").is_dir() and (desk / "manifests" / "shared" / "client.yaml").is_file()
    assert not desk.exists()


# Whose the desk is.


@pytest.fixture
def sudo(monkeypatch):
    """Root by sudo of ann, who may read the course unless a test says otherwise: what was asked of the system, in order."""
    asked = []
    monkeypatch.setattr(paths, "SUDO", True)
    monkeypatch.setattr(paths, "USER", paths.User("ann", 1000, 1001, "/home/ann"))
    monkeypatch.setattr(paths, "HOME", Path("/home/ann"))
    monkeypatch.setattr(owner.subprocess, "run", lambda *command, **how: asked.append(how["user"]) or SimpleNamespace(returncode=0))
    for name in ("initgroups", "setgid", "setuid"):
        monkeypatch.setattr(owner.os, name, lambda *of, name=name: asked.append((name, *of)))
    for name in ("HOME", "USER", "LOGNAME", "XDG_RUNTIME_DIR", "SHELL", "MAIL"):  # and so they come back after the test
        monkeypatch.setenv(name, "/root")
    return asked


def test_with_sudo_the_desk_is_made_and_opened_as_the_user_who_typed_it(sudo):
    owner.become_user()
    assert sudo == [1000, ("initgroups", "ann", 1001), ("setgid", 1001), ("setuid", 1000)], "rights to change rights go last"
    assert os.environ["HOME"] == "/home/ann" and "XDG_RUNTIME_DIR" not in os.environ


def test_a_course_that_the_user_may_not_read_gets_a_sentence(sudo, monkeypatch):
    def shut(*command, **how):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(owner.subprocess, "run", shut)
    with pytest.raises(HostError, match="ann may not read") as caught:
        owner.become_user()
    assert "where ann may read" in caught.value.do and sudo == []


def test_without_sudo_one_stays_who_one_is(sudo, monkeypatch):
    monkeypatch.setattr(paths, "SUDO", False)
    owner.become_user()
    assert sudo == []
