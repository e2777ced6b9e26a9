"""The command line of the course: ``meshlab``."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lab_helpers.core import paths
from lab_helpers.core.errors import ClusterError, CommandError, HostError, LabError

out = Console(highlight=False)


class Sentences(click.Group):
    """A group whose commands end with one sentence and exit code 1 on every error that a reader can act on."""

    def invoke(self, context):
        try:
            return super().invoke(context)
        except (click.ClickException, click.Abort, click.exceptions.Exit, BrokenPipeError):  # click has its own words, or none
            raise
        except Exception as error:
            told = sentence(error)
            if told is None:  # a mistake of ours, which its traceback tells best
                raise
            click.echo(f"✗ {told}", err=True)
            sys.exit(1)


def sentence(error: Exception) -> LabError | None:
    """What a reader is told of an error that some program or file of this machine, or the cluster, is the reason of; else None."""
    again = "Put that right, then run the same line again."
    if isinstance(error, LabError):
        return error
    if isinstance(error, PermissionError):
        what = f"{error.filename or error} is not for {paths.USER.pw_name} to open."
        do = f"Run it with sudo: {paths.as_root(*sys.argv[1:])}" if os.geteuid() else "Look who owns it, and what protects it."
        return HostError(what, do)
    if isinstance(error, OSError):  # a full disk, a file system that went away
        return HostError(f"{f'{error.filename}: ' if error.filename else ''}{error.strerror or error}.", again)
    if isinstance(error, subprocess.CalledProcessError):
        said = error.stderr or error.output or b""
        said = (said if isinstance(said, str) else said.decode(errors="replace")).strip()[-600:]
        ended = f"was ended by signal {-error.returncode}" if error.returncode < 0 else f"ended with exit code {error.returncode}"
        return CommandError(f"{_line(error.cmd)} {ended}{f': {said}' if said else ''}.", again)
    if isinstance(error, subprocess.TimeoutExpired):
        return CommandError(f"{_line(error.cmd)} did not end within {error.timeout:g} s.", "See what keeps it, then run it again.")
    import psutil

    from lab_helpers.kube import objects

    if isinstance(error, psutil.Error):
        return HostError(f"A process of the lab could not be looked at: {error}.", "It may just have ended: run the same line again.")
    try:
        with objects.sentences("meshlab"):
            raise error
    except LabError as told:
        return told
    except Exception:
        return None


def _line(command) -> str:
    return command if isinstance(command, str) else shlex.join(map(str, command))


@click.group(cls=Sentences, context_settings={"help_option_names": ["-h", "--help"]})
def main():
    """Bring up a real Kubernetes with the real Istio on this machine, and run the course on it."""
    # Under 027 or 077 a build's files are root's alone, and so of no use to whoever runs in an image. What is private is made so by name.
    os.umask(0o022)


@main.command()
@click.option("--only", type=click.Choice(["build", "kubernetes"]), help="Stop after building, or after the bare cluster.")
@click.option("--rebuild", multiple=True, metavar="PART", help="Build PART again even if it is in the cache.")
@click.option("--context", metavar="NAME", help="Use the cluster of this context of your kubeconfig instead, after asking.")
@click.option("--overlay", multiple=True, type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="With --context: an IstioOperator file on top of the demo profile, for what your platform asks for.")  # fmt: skip
@click.option("--yes", is_flag=True, help="With --context: agree beforehand, for scripts.")
@click.option("--take-over", is_flag=True, help="With --context: replace an Istio that is there already.")
@click.option("--force", is_flag=True, help="Take over the lab of somebody else on this machine.")
def up(only, rebuild, context, overlay, yes, take_over, force):
    """Bring the lab up, or repair it."""
    from lab_helpers.node import lifecycle
    from lab_helpers.node.install import other_cluster
    from lab_helpers.node.progress import Report

    if context and (only or rebuild or force):
        raise click.UsageError("--only, --rebuild and --force are about the embedded lab; --context names another cluster.")
    for option, given in (("--overlay", overlay), ("--yes", yes), ("--take-over", take_over)):
        if given and not context:
            raise click.UsageError(f"{option} goes with --context: it is about a cluster that is there already.")
    if context:
        lab = other_cluster.look(context, overlay, take_over)
        if not yes:
            agree(other_cluster.plan(lab, overlay))
    with Report() as report:
        address = other_cluster.up(report, lab, overlay) if context else lifecycle.up(report, only, rebuild, force)
    if address:
        out.print(f"The lab is up: {address}")


def agree(plan: str) -> None:
    """Have somebody at the terminal agree to `plan`, unless it is empty; nothing has been changed so far."""
    if plan and not sys.stdin.isatty():
        raise ClusterError(f"{plan}\nNobody is here to agree to that, so nothing was changed.", "--yes agrees beforehand.")
    if plan:
        click.confirm(f"{plan}\nGo on?", abort=True)


@main.command()
@click.option("--force", is_flag=True, help="Also if it is somebody else's.")
def down(force):
    """Take the lab down; nothing of it is left but the caches."""
    from lab_helpers.node import lifecycle
    from lab_helpers.node.progress import Report

    with Report() as report:
        lifecycle.down(report, force)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")
def status(as_json):
    """Say how the lab is; exit code 1 when something is wrong."""
    from lab_helpers.node import status as of_lab

    state = of_lab.status()
    if as_json:
        click.echo(json.dumps(state, indent=2))
    else:
        table = Table("what", "how", box=None)
        for name, what in {**state["components"], **state["workloads"]}.items():
            table.add_row(escape(name), f"[green]{what}[/]" if what in of_lab.FINE else f"[red]{escape(what)}[/]")
        out.print(table)
        memory = "known to root" if state["memory_mib"] is None else f"{state['memory_mib']:.0f} MiB"
        out.print(f"memory: {memory}   page: {state['url'] or '–'}")
        for name, address in state["addons"].items():
            out.print(f"{name}: {address}")
        for problem in state["problems"]:
            out.print(f"[red]✗[/] {escape(problem)}")
    sys.exit(0 if state["well"] else 1)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")
def doctor(as_json):
    """Look beforehand at everything that could stop `up`; exit code 1 if anything would."""
    from lab_helpers.node import status as of_lab

    checks = of_lab.doctor()
    if as_json:
        click.echo(json.dumps([check.as_dict() for check in checks], indent=2))
    else:
        table = Table("", "check", "found", "needed", "what to do", box=None)
        for check in checks:
            mark = "[green]✓[/]" if check.well else "[red]✗[/]"
            table.add_row(mark, *map(escape, (check.check, check.found, check.needed, "" if check.well else check.do)))
        out.print(table)
    sys.exit(0 if all(check.well for check in checks) else 1)


# Without it, it is the embedded lab, whatever KUBECONFIG says.
on_other_cluster = click.option(
    "--context", metavar="NAME", help="On the cluster of this context of your kubeconfig instead of the embedded lab."
)


@main.command()
@click.argument("name", type=click.Choice(["kiali", "grafana", "jaeger", "zipkin", "prometheus"]))
@on_other_cluster
def addons(name, context):
    """Install one of Istio's add-ons, wait until it serves, and say how to open it."""
    from lab_helpers.node import lifecycle
    from lab_helpers.node.install import other_cluster
    from lab_helpers.node.progress import Report

    with Report() as report:
        address = other_cluster.add(report, name, context) if context else lifecycle.add(report, name)
    out.print(f"{name} is there: {address}")


@main.command()
def kubeconfig():
    """Print the path of the lab's kubeconfig: export KUBECONFIG=$(meshlab kubeconfig)."""
    from lab_helpers.node import host

    host.require_kubeconfig()
    click.echo(paths.KUBECONFIG)


@main.command()
@click.argument("component")
@click.option("--lines", "-n", type=click.IntRange(min=1), default=50, show_default=True, help="How many of its last lines.")
def logs(component, lines):
    """Print the last lines of a component's log, or of a build's."""
    from collections import deque

    from lab_helpers.node import status as of_lab

    with of_lab.log_file(component).open(errors="replace", encoding="utf-8") as file:
        click.echo("".join(deque(file, maxlen=lines)), nl=False)


@main.command()
@click.argument("chapter")
@on_other_cluster
def run(chapter, context):
    """Bring the lab to the start of CHAPTER (NN_slug) and execute it."""
    from lab_helpers.course import run as course
    from lab_helpers.node.progress import Report

    course.find(chapter)  # before anything is told of it
    with Report() as report, report.step(f"chapter {chapter}"):
        target, seconds = course.run_chapter(chapter, context)
    out.print(f"{chapter} ran in {seconds:.0f} s: {target.relative_to(paths.ROOT)}")


@main.command(context_settings={"ignore_unknown_options": True})
@click.argument("jupyter", nargs=-1, type=click.UNPROCESSED)
def lab(jupyter):
    """Open your desk in JupyterLab, on this machine only; options that are JUPYTER's, such as --port, are passed on."""
    from lab_helpers.course.desk import folder
    from lab_helpers.course.desk import jupyter as of_desk

    opened = open_desk()
    sys.exit(of_desk.serve(opened.folder, opened.folder / folder.OURS, jupyter))


@main.command()
@click.option("--fresh", multiple=True, metavar="NN_SLUG", help="Make this chapter anew; what you have of it is set aside.")
def desk(fresh):
    """Make your desk, or bring what you have not touched in it to the present state of the course."""
    open_desk(fresh)


def open_desk(fresh=()):
    """Open the user's desk, say what is new in it, and return it."""
    from lab_helpers.course import desk

    opened = desk.opened(fresh)
    for line in [f"Your desk: {opened.folder}", *opened.told()]:
        out.print(line, markup=False)
    return opened


@main.command("course")
@on_other_cluster
def whole_course(context):
    """Execute every chapter on the live mesh and build the site from that run."""
    from lab_helpers.course import run as course
    from lab_helpers.node.progress import Report

    with Report() as report:
        seconds = course.run_course(report, context)
    table = Table("what", "seconds", box=None)
    for name, took in {
        **{f"chapter {stem}": took for stem, took in seconds.items()},
        "site": report.took["the site from that run"],
    }.items():
        table.add_row(name, f"{took:.1f}")
    out.print(table)
    out.print(f"The book of this run: file://{course.SITE}/_build/html/index.html")


@main.command()
def site():
    """Build the site from the committed notebooks."""
    from lab_helpers.course import run as course

    out.print(f"The book: file://{course.build_site()}")


@main.command()
def record():
    """Put the outputs of the last run into the committed notebooks."""
    from lab_helpers.course import run as course

    out.print(f"Recorded: {', '.join(course.record())}")


@main.command("new-chapter")
@click.argument("stem", metavar="NN_SLUG")
def new_chapter(stem):
    """Make the files of a new chapter, to be filled."""
    from lab_helpers.course.new_chapter import make

    for path in make(stem):
        click.echo(path.relative_to(paths.ROOT))
