"""Lines that go on for as long as somebody looks: ``kubectl port-forward`` and ``istioctl dashboard``, and what is behind them."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer

import urllib3

from lab_helpers.core import http
from lab_helpers.core.errors import CommandError, MeshError
from lab_helpers.istio import gateway
from lab_helpers.istio.gateway import Page
from lab_helpers.kube import commands

PROGRAMS = ("kubectl port-forward", "istioctl dashboard")
OPENS = 30.0  # seconds in which a line has to say where it listens


class Forward:
    """An address on this machine behind which somebody in the cluster answers, for as long as its line runs.

    Parameters
    ----------
    lab : Lab
    command : str
    address : str
        ``http://127.0.0.1:PORT``, without a slash at the end.
    """

    def __init__(self, lab, command: str, address: str):
        self.lab, self.command, self.address = lab, command, address

    def page(self, path: str = "/") -> Page:
        """GET one page.

        Raises
        ------
        MeshError
            Nobody answers there.
        """
        url = self.address + http.target(path)
        try:
            answer = gateway.fetch(url)
        except urllib3.exceptions.HTTPError as error:
            raise MeshError(f"{url} did not answer ({error}).", f"Does it run? {self.command}") from error
        pod = gateway.served_by(answer.text)
        return Page(url, answer.status, answer.headers, answer.text, pod, gateway.versions(self.lab).get(pod) if pod else None)

    def __str__(self) -> str:
        return f"$ {self.command}\nforwarding from {self.address}"

    def __repr__(self) -> str:
        return str(self)


@contextmanager
def forwarding(lab, line: str) -> Iterator[Forward]:
    """Run a line of ``kubectl port-forward`` or ``istioctl dashboard`` as long as the block lasts.

    Raises
    ------
    CommandError
        It is another line, or it ended before it listened: with what it printed.
    """
    words = commands.split(line)
    if " ".join(words[:2]) not in PROGRAMS:
        raise CommandError(f"{line!r} does not begin with {' or '.join(PROGRAMS)}.", "Other commands end by themselves: lab.run(...).")
    client = lab.client
    path = commands.find(words[0], client.tools)
    at = ["--context", client.context.name] + ([] if {"-n", "--namespace"} & set(words) else ["--namespace", client.namespace])
    more = ["--browser=false", "--istioNamespace", "istio-system"] if words[0] == "istioctl" else []
    environment = {name: value for name, value in os.environ.items() if not name.startswith(commands.OWN)}
    environment |= {"KUBECONFIG": client.context.variable, **commands.NO_SETTINGS}
    process = subprocess.Popen(
        [path, *words[1:], *at, *more], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, text=True, encoding="utf-8"
    )
    late = Timer(OPENS, process.kill)
    late.start()
    try:
        printed = ""
        while not (found := re.search(r"(?:127\.0\.0\.1|localhost):(\d+)", printed)):
            printed_now = process.stdout.readline()
            if not printed_now:
                raise CommandError(f"{line} ended: {printed.strip() or 'it said nothing'}", "Correct the command and run it again.")
            printed += printed_now
        late.cancel()
        yield Forward(lab, line, f"http://127.0.0.1:{found[1]}")
    finally:
        late.cancel()
        process.terminate()
        process.wait()
        process.stdout.close()
