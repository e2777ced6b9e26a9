"""The lab as a whole: bring it up or repair it, take it down, say how it is."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from lab_helpers.core.errors import ClusterError, HostError, LabError
from lab_helpers.node.install import addon_manifests as addons, istio
from lab_helpers.node import cluster, components, host, lock, machine, pki
from lab_helpers.core import paths
from lab_helpers.node.build import store, toolchain
from lab_helpers.node.build.binaries import ISTIO, ISTIO_SOURCES, KUBERNETES, link_tools
from lab_helpers.node.build.debian import NODE_ROOT
from lab_helpers.node.build.images import IMAGE_STORE
from lab_helpers.node.machine import Machine
from lab_helpers.node.progress import Report

MACHINE = Machine()
PARTS = (KUBERNETES, ISTIO, ISTIO_SOURCES, NODE_ROOT, IMAGE_STORE)


def up(report: Report, only: str | None = None, rebuild: Sequence[str] = ()) -> str:
    """Bring the lab up from any state; what is well is left as it is.

    Parameters
    ----------
    report : Report
    only : {"kubernetes", "build"}, optional
        Stop after the bare cluster (images loaded, no Istio), or after building.
    rebuild : sequence of str
        Parts to build again even if they are in the cache.

    Returns
    -------
    str
        The address of Bookinfo's page; of the API server with ``only="kubernetes"``; empty with ``only="build"``.

    Raises
    ------
    LabError
        Naming what did not come up, and why.
    """
    with lock.exclusive(lock.LAB), lock.exclusive(lock.CACHE):
        host.require(None if only == "build" else MACHINE, built=not store.missing(PARTS))
        toolchain.install_packages(report)
        store.clean()
        store.forget(PARTS, rebuild)
        store.ensure(PARTS, report)
        link_tools()
        if only == "build":
            return ""
        _start_node(report)
        with report.step("cluster DNS, metrics and the node Ready"):
            cluster.apply_addons()
            cluster.wait_node_ready(MACHINE)
            cluster.wait_available("kube-system", ["coredns"])
        if only == "kubernetes":
            return f"https://{MACHINE.address}:6443"
        return _mesh(report)


def _start_node(report: Report) -> None:
    """Boot the node unless it runs, start the components that do not, load the images that are missing."""
    for folder in (MACHINE.state, paths.LOGS, MACHINE.state / "cni"):
        folder.mkdir(mode=0o711, parents=True, exist_ok=True)
    pki.create(MACHINE)
    cluster.write_kubeconfig(MACHINE)
    components.configure(MACHINE)
    with report.step("lay out the images"):
        cluster.seed_images(MACHINE)
    if machine.init_pid(MACHINE) is None:
        with report.step("boot the node"):
            machine.stop(MACHINE)  # what a boot that was killed may have left
            machine.start(MACHINE, paths.LOGS / "boot.log")
    with report.step("start etcd, containerd, the API server and the rest") as say:
        components.start(MACHINE, say)
    with report.step("load images that are missing"):
        cluster.import_images(MACHINE)


def _mesh(report: Report) -> str:
    """Install Istio, Bookinfo and the add-ons unless they are there and well; return the page's address once it answers."""
    if not istio.installed([paths.OVERLAY]):
        with report.step("install Istio (demo profile)") as say:
            istio.install([paths.OVERLAY], say)
    with report.step("Istio's control plane and gateways"):
        cluster.wait_available("istio-system", istio.DEPLOYMENTS)
    with report.step("Bookinfo with sidecars"):
        addons.configure()
        istio.deploy_bookinfo()
        istio.wait_bookinfo()
    with report.step("the first 200 through the gateway"):
        url = istio.gateway_url()
        istio.wait_page(url)
    with report.step("Prometheus, Zipkin and Jaeger"):
        addons.start()
        addons.wait()
    return f"{url}/productpage"


def add(report: Report, name: str) -> str:
    """Install one of Istio's add-ons on the running lab; return its address, or the command that opens it.

    Raises
    ------
    ClusterError
        When the lab is not up, or has no image of the add-on: nothing can be pulled into it.
    """
    if machine.init_pid(MACHINE) is None:
        raise ClusterError("The embedded lab is not running.", "Start it with `meshlab up`, or name another cluster: --context NAME.")
    with report.step(f"add-on {name}"):
        if name not in addons.OURS:
            addons.install(name)
            return f"istioctl dashboard {name}"
        addons.start()
        addons.wait()
        return addons.addresses()[name]


def down(report: Report) -> None:
    """Take the lab down: no process, mount, network link, namespace, cgroup or state of it is left. The caches stay."""
    if os.geteuid() != 0:
        raise HostError("Only root can take the lab down.", "Run it with sudo: sudo meshlab down")
    with lock.exclusive(lock.LAB):
        with report.step("stop the node and everything in it"):
            machine.stop(MACHINE)
        with report.step("delete its state"):
            machine.forget(MACHINE)
            paths.KUBECONFIG.unlink(missing_ok=True)


def status() -> dict:
    """How the lab is, as a mapping that can be printed as JSON.

    Returns
    -------
    dict
        ``running`` (bool), ``well`` (bool), ``url`` (str or None), ``addons`` (name → address), ``memory_mib`` (float: see
        `machine.memory_mib`),
        ``components`` and ``workloads`` (name → "well" or what is wrong), ``problems`` (list of sentences).
    """
    if machine.init_pid(MACHINE) is None:
        problem = "The embedded lab is not running: `meshlab up` starts it."
        return {
            "running": False,
            "well": False,
            "url": None,
            "addons": {},
            "memory_mib": 0.0,
            "components": {},
            "workloads": {},
            "problems": [problem],
        }
    alive = components.running(MACHINE)
    state, problems, workloads, url, served = {}, [], {}, None, {}
    for component in components.components(MACHINE):
        if component.name not in alive:
            state[component.name] = "not running"
        else:
            state[component.name] = "well" if components.healthy(MACHINE, component) else "running, but not healthy"
    problems += [f"{name} is {what}: `meshlab up` repairs it." for name, what in state.items() if what != "well"]
    if state["kube-apiserver"] == state["etcd"] == "well":
        try:
            workloads = _workloads()
            url = f"{istio.gateway_url()}/productpage" if "istio-system/istio-ingressgateway" in workloads else None
            served = addons.addresses()
        except LabError as error:
            problems.append(error.what)
        problems += [f"{name} has {what}." for name, what in workloads.items() if what != "well"]
    return {
        "running": True,
        "well": not problems,
        "url": url,
        "addons": served,
        "memory_mib": round(machine.memory_mib(MACHINE), 1),
        "components": state,
        "workloads": workloads,
        "problems": problems,
    }


def _workloads() -> dict[str, str]:
    """Every Deployment as "namespace/name" → "well", or how many of its replicas are available."""
    try:
        listed = json.loads(cluster.kubectl("get", "deployments", "--all-namespaces", "--output", "json", "--request-timeout", "5s"))[
            "items"
        ]
    except ClusterError as error:
        raise ClusterError(f"The API server does not answer: {error.what}", "`meshlab up` repairs it.") from error
    found = {}
    for deployment in listed:
        name = f"{deployment['metadata']['namespace']}/{deployment['metadata']['name']}"
        wanted, ready = deployment["spec"].get("replicas", 1), deployment.get("status", {}).get("availableReplicas", 0)
        found[name] = "well" if ready >= wanted else f"{ready} of {wanted} replicas available"
    return found


def doctor() -> list[host.Check]:
    """Everything that could stop `up`, looked at beforehand."""
    return host.checks(MACHINE, built=not store.missing(PARTS))


def log_file(component: str) -> Path:
    """The log of a component, or of a build.

    Raises
    ------
    HostError
        When there is no such log, naming those that there are.
    """
    logs = {path.stem: path for folder in (store.BUILD_LOGS, paths.LOGS) for path in sorted(folder.glob("*.log"))}
    if component not in logs:
        raise HostError(f"There is no log of {component!r}.", f"There are logs of: {', '.join(sorted(logs)) or 'nothing yet'}.")
    return logs[component]
