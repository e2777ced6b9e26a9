"""Progress that can be read: how long steps take and should, what waits for what, on a terminal of any width and without one."""

from __future__ import annotations

import io
import json
import os
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
from rich.cells import cell_len
from rich.console import Console

from lab_helpers.core import paths
from lab_helpers.core.errors import BuildError, HostError
from lab_helpers.node import files, host
from lab_helpers.node.build import store
from lab_helpers.node.build.versions import VERSIONS
from lab_helpers.node.progress import Report, report
from lab_helpers.node.progress.estimates import Estimate, Memory, about, clock
from lab_helpers.node.progress.plan import Plan
from lab_helpers.node.progress.screen import Step, draw, unfinished

SECONDS = {"build kubernetes": 660, "build istio": 845, "build images": 187, "build image-store": 47, "build prometheus": 730}
FIRST = {
    "build kubernetes": [],
    "build istio": [],
    "build envoy": [],
    "build context-pilot": ["build istio"],
    "build images": ["build context-pilot", "build envoy"],
    "build image-store": ["build images"],
}
LATER = {"build prometheus": [], "build later-images": ["build prometheus", "build image-store"]}


@pytest.fixture(autouse=True)
def seconds_json(tmp_path, monkeypatch):
    """Where durations are kept; the folder is not there yet."""
    monkeypatch.setattr(store, "BUILD_LOGS", tmp_path / "log")
    return tmp_path / "log" / "seconds.json"


@pytest.fixture
def watch(monkeypatch):
    """A clock that a test sets."""
    now = SimpleNamespace(at=100.0)
    monkeypatch.setattr(report, "time", SimpleNamespace(monotonic=lambda: now.at))
    return now


@pytest.fixture
def plan():
    made = Plan(SECONDS.get)
    made.add(FIRST)
    made.add(LATER)
    return made


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def on_terminal(width: int, **more) -> Report:
    return Report(Console(file=Terminal(), force_terminal=True, width=width, height=30, _environ={}, highlight=False, **more))


def without_terminal(**environment) -> Report:
    return Report(Console(file=io.StringIO(), width=80, _environ=environment, highlight=False))


def drawn(plan: Plan, steps: list[Step], now: float, width: int) -> list[str]:
    console = Console(file=io.StringIO(), record=True, width=width, force_terminal=True, no_color=True)
    for row in draw(steps, plan, now, width):
        console.print(row)
    return console.export_text().splitlines()


def begun(plan: Plan, now: float, **ago: float) -> list[Step]:
    """Have parts begin so many seconds ago."""
    names = {name.replace("_", "-"): now - seconds for name, seconds in ago.items()}
    plan.began.update({store.BUILD + name: began for name, began in names.items()})
    return [Step(store.BUILD + name, began, Estimate(SECONDS.get(store.BUILD + name, 9))) for name, began in names.items()]


def test_times_are_told_as_a_watch_and_as_somebody_would():
    assert [clock(seconds) for seconds in (0, 9.9, 130, 660, 3730)] == ["0:00", "0:09", "2:10", "11:00", "1:02:10"]
    assert [about(seconds) for seconds in (5, 47.2, 89, 90, 660)] == ["5 s", "47 s", "89 s", "2 min", "11 min"]


# What is remembered.


def test_what_a_step_took_is_what_the_next_command_expects(watch, seconds_json):
    for took, before in ((300, Estimate(VERSIONS["seconds"]["build"]["kubernetes"])), (320, Estimate(300, remembered=True))):
        told = without_terminal()
        assert told._memory.estimate("build kubernetes") == before
        with told.step("build kubernetes"):
            watch.at += took
        assert told.took == {"build kubernetes": took}
    assert json.loads(seconds_json.read_text()) == {"build kubernetes": 320}
    assert [path.name for path in seconds_json.parent.iterdir()] == ["seconds.json"]


def test_what_is_brief_is_neither_kept_nor_told_but_takes_the_place_of_what_was_not(seconds_json):
    memory = Memory()
    memory.remember("brief", 0.4)
    assert not seconds_json.exists()
    memory.remember("boot", 20)
    memory.remember("boot", 0.4)
    assert Memory().took == {"boot": 0.4} and Memory().estimate("boot") is None


def test_what_failed_is_not_kept(watch, seconds_json):
    with pytest.raises(BuildError), without_terminal().step("build istio"):
        watch.at += 100
        raise BuildError("No.")
    assert not seconds_json.exists()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "1",
        '{"boot": "soon"}',
        '{"boot": [1]}',
        '{"boot": -1}',
        '{"boot": Infinity}',
        '{"boot": NaN}',
        '{"boot": 1' + "0" * 400 + "}",
        "[" * 10**5,
        "\xff",
    ],
)
def test_a_broken_file_is_no_error_and_is_written_anew(seconds_json, text):
    seconds_json.parent.mkdir()
    seconds_json.write_text(text, encoding="latin-1")
    memory = Memory()
    assert memory.estimate("boot") is None
    memory.remember("boot", 7)
    assert Memory().estimate("boot") == Estimate(7, remembered=True)


def test_what_another_command_has_kept_meanwhile_stays():
    mine, other = Memory(), Memory()
    other.remember("chapter 04_bookinfo", 40)
    mine.remember("boot", 7)
    assert Memory().took == {"chapter 04_bookinfo": 40, "boot": 7}


@pytest.mark.parametrize("error", [OSError(30, "Read-only file system"), HostError("It cannot be made.")])
def test_where_nothing_can_be_kept_work_goes_on(monkeypatch, watch, error):
    def refuse(path):
        raise error

    monkeypatch.setattr(paths, "make_folder", refuse)
    told = without_terminal()
    with told.step("boot"):
        watch.at += 10
    assert told.took == {"boot": 10}


def test_the_file_is_the_invoking_users_and_whole_or_not_there(monkeypatch, seconds_json):
    asked = []
    monkeypatch.setattr(files, "as_user", lambda: nullcontext(asked.append("as user")))
    Memory().remember("boot", 7)
    assert asked == ["as user"]
    monkeypatch.setattr(os, "replace", lambda *names: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    Memory().remember("boot", 9)
    assert json.loads(seconds_json.read_text()) == {"boot": 7} and len(list(seconds_json.parent.iterdir())) == 1


def test_the_first_time_it_is_expected_what_the_versions_say():
    assert Memory().estimate("build kubernetes") == Estimate(VERSIONS["seconds"]["build"]["kubernetes"])
    assert Memory().estimate("build pause") is None is Memory().estimate("something else")
    wanted = {part.name for part in store.every(host.WANTED)}
    assert set(VERSIONS["seconds"]["build"]) <= wanted


# What is still to come.


def test_what_is_left_is_the_longest_chain_of_each_stage_or_what_all_workers_have_to_do(plan):
    assert plan.left(0) == (845 + 1 + 187 + 47) + (730 + 1)
    wide = Plan(lambda name: 60)
    wide.add({str(number): [] for number in range(store.WORKERS * 4)})
    assert wide.left(0) == 4 * 60
    plan.began["build istio"] = 0
    assert plan.left(100) == plan.left(0) - 100
    plan.done.update({*FIRST})
    assert plan.left(100) == 731


def test_what_takes_longer_than_expected_is_not_done_yet(plan):
    plan.began["build istio"] = 0
    shares = [plan.share(now) for now in (0, 400, 845, 2000, 4000)]
    assert shares == sorted(shares) and 0 == shares[0] < shares[-1] < 0.9
    plan.done.add("build kubernetes")
    assert plan.left(2000) == (200 + 1 + 187 + 47) + 731
    plan.done.update({*FIRST, *LATER})
    assert plan.share(0) == 1 and plan.left(0) == 0 and plan.unfinished == []


def test_a_part_waits_for_what_is_under_way_below_it_or_for_its_turn(plan):
    begun(plan, 0, kubernetes=0, istio=0)
    assert dict(plan.waiting()) == {
        "build images": ["build istio"],
        "build image-store": ["build istio"],
        "build envoy": [],
        "build context-pilot": ["build istio"],
        "build prometheus": [],
        "build later-images": ["build istio"],
    }
    plan.done.add("build istio")
    assert dict(plan.waiting())["build images"] == []


def test_what_is_told_twice_is_expected_once(plan):
    plan.add({**LATER, "build more": []})
    assert plan.stages == [{name: tuple(waits) for name, waits in stage.items()} for stage in (FIRST, LATER, {"build more": []})]


def test_after_a_failure_nothing_is_expected_any_more(plan):
    plan.fail("Bookinfo with sidecars")
    assert plan.unfinished
    plan.fail("build istio")
    assert plan.unfinished == [] and plan.left(0) == 0 and drawn(plan, [], 0, 80) == []


# As it is drawn.


def test_a_line_for_each_step_one_for_what_waits_and_a_bar(plan):
    steps = begun(plan, 0, kubernetes=130, istio=130)
    steps[0].line = "compiling k8s.io/apiserver"
    assert drawn(plan, steps, 0, 80) == [
        "· build kubernetes 2:10 of about 11:00 compiling k8s.io/apiserver",
        "· build istio      2:10 of about 14:05",
        "  waiting: images, image-store (for istio); envoy (for a turn) and 3 more",
        "  ━━━━                                     0 of 8 parts, about 28:01 left",
    ]


def test_a_narrow_terminal_gets_fewer_words(plan):
    steps = [*begun(plan, 0, kubernetes=700, istio=130), Step("start etcd, containerd, the API server and the rest", -3)]
    steps[0].line = "compiling k8s.io/apiserver"
    assert drawn(plan, steps, 0, 40) == [
        "· build kubernetes 11:40, expected 11:00",
        "· build istio      2:10 of about 14:05",
        "· start etcd, con… 0:03",
        "  waiting: images (for istio) and 5 more",
        "  ━━━━━╸               about 28:01 left",
    ]


@pytest.mark.parametrize("width", [8, 20, 30, 40, 59, 60, 80, 140, 300])
def test_no_line_is_wider_than_the_terminal(plan, width):
    steps = [*begun(plan, 0, kubernetes=4000, istio=130), Step("what else the chapters need", -70, Estimate(700), waits=True)]
    steps.append(Step("start etcd, containerd, the API server and the rest", 0))
    steps[0].line = "\x1b[32mcompiling\x1b[0m\t[bold]界" * 40 + "\a\r\x1b[2K" + "界" * 200
    lines = drawn(plan, steps, 0, width)
    assert len(lines) == 6
    assert all(cell_len(line) <= width and line.isprintable() for line in lines), lines
    assert all(line.strip() for line in lines)


@pytest.mark.parametrize(
    ("estimate", "wide", "narrow"),
    [
        (None, "4:10", "4:10"),
        (Estimate(660), "4:10 of about 11:00", "4:10 of about 11:00"),
        (Estimate(200, remembered=True), "4:10, longer than last time's 3:20", "4:10, last time 3:20"),
        (Estimate(200), "4:10, longer than the 3:20 expected", "4:10, expected 3:20"),
    ],
)
def test_an_estimate_that_did_not_hold_is_told_so(estimate, wide, narrow):
    step = Step("build istio", 0, estimate)
    assert (step.time(250, narrow=False), step.time(250, narrow=True)) == (wide, narrow)


def test_who_waits_for_the_plan_says_what_is_still_built(plan):
    plan.done.update(FIRST)
    begun(plan, 0, prometheus=100)
    [line, *_] = drawn(plan, [Step("what else the chapters need", -10, Estimate(600), waits=True)], 0, 100)
    assert line == "· what else the chapters need 0:10 of about 10:00 prometheus, later-images"
    assert [unfinished(plan, width) for width in (21, 20, 5)] == ["prometheus and 1 more", "prometheus +1", "prometheus +1"]


# Told by a report.


def test_without_a_terminal_a_line_at_each_start_and_end(watch):
    told = without_terminal(FORCE_COLOR="1")
    with told:
        told.plan(LATER)
        with told.step("boot the node") as say:
            for number in range(1000):
                say(f"line {number}")
            watch.at += 2
        with told.step("what else the chapters need", waits=True):
            with told.step("build prometheus"):
                watch.at += 700
            with pytest.raises(BuildError), told.step("build later-images"):
                raise BuildError("No.")
    lines = told.console.file.getvalue().replace("\x1b[32m", "").replace("\x1b[31m", "").replace("\x1b[2m", "").replace("\x1b[0m", "")
    assert lines.splitlines() == [
        "  … boot the node",
        "  ✓ boot the node 2.0 s",
        "  … what else the chapters need: prometheus, later-images (about 12 min)",
        "  … build prometheus (about 12 min)",
        "  ✓ build prometheus 700.0 s",
        "  … build later-images",
        "  ✗ build later-images failed after 0.0 s",
        "  ✓ what else the chapters need 700.0 s",
    ]


def test_a_long_line_is_not_broken_where_nobody_sees_it():
    told = without_terminal()
    with told.step("a" * 100):
        pass
    assert told.console.file.getvalue().splitlines()[0] == "  … " + "a" * 100


@pytest.mark.parametrize("width", [40, 80, 140])
def test_on_a_terminal_the_lines_come_and_go_and_what_is_done_stays(width):
    told = on_terminal(width)
    with told:
        told.plan(LATER)
        with told.step("build prometheus") as say:
            say("compiling Prometheus")
            told._screen.refresh()
        with pytest.raises(BuildError), told.step("build later-images"):
            raise BuildError("No.")
    text = told.console.file.getvalue()
    assert "build prometheus" in text and "of about 12:10" in text and "left" in text and "waiting: later-images" in text
    assert "build prometheus \x1b[2m" in text and "build later-images failed after" in text
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1  # the cursor is back


def test_a_terminal_without_colours_gets_none():
    told = on_terminal(80, no_color=True)
    with told:
        told.plan(LATER)
        with told.step("build prometheus"):
            told._screen.refresh()
    codes = told.console.file.getvalue()
    assert "of about 12:10" in codes and "\x1b[3" not in codes


def test_a_terminal_that_cannot_move_its_cursor_gets_lines():
    told = Report(Console(file=Terminal(), force_terminal=True, width=80, _environ={"TERM": "dumb"}))
    with told, told.step("boot"):
        pass
    assert told.console.file.getvalue().startswith("  … boot\n")


def test_a_terminal_that_gets_narrower_has_the_broken_lines_taken_away():
    told = on_terminal(100)
    with told, told.step("boot the node") as say:
        say("x" * 200)
        told._screen.refresh()
        before = len(told.console.file.getvalue())
        told.console.width = 30
        told._screen.refresh()
        after = told.console.file.getvalue()[before:]
    assert after.startswith("\x1b[2K\x1b[1A" * 3)  # a hundred columns are four lines of thirty
