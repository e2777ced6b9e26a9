"""The command line of the course: ``meshlab``."""

from __future__ import annotations

import json
import sys

import click
from rich.console import Console
from rich.table import Table

from .core.errors import LabError

out = Console(highlight=False)


class Sentences(click.Group):
    """A group whose commands end with one sentence and exit code 1 on every error that a reader can act on."""

    def invoke(self, context):
        try:
            return super().invoke(context)
        except LabError as error:
            click.echo(f"✗ {error}", err=True)
            sys.exit(1)


@click.group(cls=Sentences, context_settings={"help_option_names": ["-h", "--help"]})
def main():
    """Bring up a real Kubernetes with the real Istio on this machine, and run the course on it."""


@main.command()
@click.option("--only", type=click.Choice(["build", "kubernetes"]), help="Stop after building, or after the bare cluster.")
@click.option("--rebuild", multiple=True, metavar="PART", help="Build PART again even if it is in the cache.")
def up(only, rebuild):
    """Bring the lab up, or repair it."""
    from .embedded import lab
    from .embedded.progress import Report

    with Report() as report:
        address = lab.up(report, only, rebuild)
    if address:
        out.print(f"The lab is up: {address}")


@main.command()
def down():
    """Take the lab down; nothing of it is left but the caches."""
    from .embedded import lab
    from .embedded.progress import Report

    with Report() as report:
        lab.down(report)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")
def status(as_json):
    """Say how the lab is; exit code 1 when something is wrong."""
    from .embedded import lab

    state = lab.status()
    if as_json:
        click.echo(json.dumps(state, indent=2))
    else:
        table = Table("what", "how", box=None)
        for name, what in {**state["components"], **state["workloads"]}.items():
            table.add_row(name, f"[green]{what}[/]" if what == "well" else f"[red]{what}[/]")
        out.print(table)
        out.print(f"memory: {state['memory_mib']:.0f} MiB   page: {state['url'] or '–'}")
        for problem in state["problems"]:
            out.print(f"[red]✗[/] {problem}")
    sys.exit(0 if state["well"] else 1)


@main.command()
def kubeconfig():
    """Print the path of the lab's kubeconfig: export KUBECONFIG=$(meshlab kubeconfig)."""
    from .core.errors import ClusterError
    from .embedded import paths

    if not paths.KUBECONFIG.exists():
        raise ClusterError("The embedded lab is not up, so there is no kubeconfig.", "Start it with `meshlab up`.")
    click.echo(paths.KUBECONFIG)


@main.command()
@click.argument("component")
@click.option("--lines", "-n", default=50, show_default=True, help="How many of its last lines.")
def logs(component, lines):
    """Print the last lines of a component's log, or of a build's."""
    from collections import deque

    from .embedded import lab

    with lab.log_file(component).open(errors="replace") as file:
        click.echo("".join(deque(file, maxlen=lines)), nl=False)
