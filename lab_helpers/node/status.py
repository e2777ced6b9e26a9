"""How the embedded lab is, at a glance: what runs, what is well, where its pages are; what could stop it; and where it logs."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lab_helpers.core import paths
from lab_helpers.core.errors import HostError, LabError
from lab_helpers.istio import gateway, istiod
from lab_helpers.kube import kubeconfig, objects
from lab_helpers.kube.client import Client
from lab_helpers.kube.kinds import DEPLOYMENT, SERVICE
from lab_helpers.node import host, machine
from lab_helpers.node.build import store
from lab_helpers.node.kubernetes import components
from lab_helpers.node.machine import MACHINE
from lab_helpers.traffic import addons

NAMESPACE, GATEWAY = "istio-system", "istio-ingressgateway"
FINE = ("well", "running")
PATIENCE = 5.0  # seconds that the API server has for an answer


def status() -> dict:
    """How the lab is, as a mapping that can be printed as JSON.

    Returns
    -------
    dict
        ``running`` (bool), ``well`` (bool), ``url`` (str or None), ``addons`` (name → address), ``memory_mib`` (float or
        None: see `machine.memory_mib`), ``components`` and ``workloads`` (name → "well" or what is wrong; of a component, only root
        can know more than that it is "running"), ``problems`` (list of sentences).
    """
    found = {"running": False, "well": False, "url": None, "addons": {}, "memory_mib": 0.0, "components": {}, "workloads": {}}
    if machine.init_pid(MACHINE) is None:
        return {**found, "problems": ["The embedded lab is not running: `meshlab up` starts it."]}
    state = _components()
    problems = [f"{name} is {what}: `meshlab up` repairs it." for name, what in state.items() if what not in FINE]
    if state["kube-apiserver"] in FINE and state["etcd"] in FINE:
        try:
            found |= _cluster()
            problems += [f"{why} It goes on with what it had before." for why in found.pop("refused", ())]
        except LabError as error:
            problems.append(f"{error.what} {error.do}".strip())
        problems += [f"{name} has {what}." for name, what in found["workloads"].items() if what != "well"]
        if f"{NAMESPACE}/{GATEWAY}" in found["workloads"] and not found["url"]:
            problems.append("The ingress gateway has no address outside the cluster: `meshlab up` repairs it.")
    memory = machine.memory_mib(MACHINE)
    found |= {"memory_mib": memory and round(memory, 1), "components": state, "problems": problems}
    return {**found, "running": True, "well": not problems}


def _components() -> dict[str, str]:
    """Every component of the node → "well", or how it is."""
    alive, every = components.running(MACHINE), components.components(MACHINE)

    def state(component: components.Component) -> str:
        if component.name not in alive:
            return "not running"
        if os.geteuid() != 0:
            return "running"
        return "well" if components.healthy(MACHINE, component) else "running, but not healthy"

    with ThreadPoolExecutor(len(every)) as pool:
        return dict(zip([each.name for each in every], pool.map(state, every), strict=True))


def _cluster() -> dict:
    """What the API server and istiod know: ``workloads``, ``url`` and ``addons`` as in `status`, and ``refused``, by any proxy and why."""
    # Not by `connect`: that brings all that a notebook needs, and takes longer to be loaded than everything here.
    host.require_kubeconfig()
    own = kubeconfig.choose(None, [paths.KUBECONFIG])
    kubeconfig.by_no_proxy(own)
    client = Client(own, patience=PATIENCE)
    with objects.sentences("The workloads"):
        deployments = client.list(DEPLOYMENT, "*")
        found = {f"{each['metadata']['namespace']}/{each['metadata']['name']}": _replicas(each) for each in deployments}
        service = client.get(SERVICE, GATEWAY, NAMESPACE)
        port = next((each for each in service["spec"]["ports"] if each["port"] == 80), None) if service else None
        address = gateway.address(client, service, port) if port else ""
        return {
            "refused": _refused(client),
            "workloads": found,
            "url": f"http://{address}/productpage" if address else None,
            "addons": addons.addresses(client),
        }


def _refused(client: Client) -> list[str]:
    """What a proxy has not taken, and why; nothing where no istiod can be asked, which its Deployment tells."""
    try:
        with objects.sentences("The proxies"):
            return [why for proxy in istiod.proxies(client) for why in proxy.refused]
    except LabError:
        return []


def _replicas(deployment: dict) -> str:
    wanted, ready = deployment["spec"].get("replicas", 1), deployment.get("status", {}).get("availableReplicas", 0)
    return "well" if ready >= wanted else f"{ready} of {wanted} replicas available"


def doctor() -> list[host.Check]:
    """Everything that could stop `up`, looked at beforehand."""
    return host.checks(MACHINE, built=not store.missing(host.WANTED))


def log_file(component: str) -> Path:
    """The log of a component, or of a build.

    Raises
    ------
    HostError
        When there is no such log, naming those that there are.
    """
    named = paths.LOGS / f"{Path(component).name}.log"
    if named.exists():  # there even for who may not list its folder
        return named
    logs = {path.stem: path for folder in (store.BUILD_LOGS, paths.LOGS) for path in sorted(folder.glob("*.log"))}
    if component not in logs:
        raise HostError(f"There is no log of {component!r}.", f"There are logs of: {', '.join(sorted(logs)) or 'nothing yet'}.")
    return logs[component]
