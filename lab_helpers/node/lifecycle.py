"""The embedded lab as a whole: bring it up or repair it, add to it, take it down."""

from __future__ import annotations

from collections.abc import Sequence

from lab_helpers.core import paths
from lab_helpers.core.errors import ClusterError
from lab_helpers.kube import mark, objects, rollout
from lab_helpers.lab import Lab, connect
from lab_helpers.node import host, lock, machine
from lab_helpers.node.build import store, toolchain
from lab_helpers.node.build.binaries import link_tools
from lab_helpers.node.build.images import STORE
from lab_helpers.node.install import addon_manifests, mesh
from lab_helpers.node.kubernetes import cluster, components, configuration, pki
from lab_helpers.node.machine import MACHINE
from lab_helpers.node.progress import Report
from lab_helpers.traffic import addons


def up(report: Report, only: str | None = None, rebuild: Sequence[str] = ()) -> str:
    """Bring the lab up from any state; what is well is left as it is.

    Parameters
    ----------
    report : Report
    only : {"kubernetes", "build"}, optional
        Stop after the bare cluster (images loaded, no Istio, not yet the course's to change), or after building.
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
    host.require_root("up", *(["--only", only] if only else []), *(f"--rebuild={part}" for part in rebuild))
    with lock.exclusive(lock.LAB), lock.exclusive(lock.CACHE):
        host.require(None if only == "build" else MACHINE, built=not store.missing(host.WANTED))
        store.clean()
        store.forget(host.WANTED, rebuild)
        toolchain.install_packages(report, toolchain.packages(built=not store.missing(host.WANTED)))
        for parts in (host.FIRST, host.LATER):  # both, so that the time that is left is that of all of it
            store.announce(parts, report)
        store.ensure(host.FIRST, report)
        link_tools()
        with store.beside(host.LATER, report) as built:
            if only == "build":
                built()
                return ""
            _start_node(report)
            with objects.sentences("meshlab up"):
                lab = _cluster(report)
                if only == "kubernetes":
                    built()
                    cluster.import_images(MACHINE)
                    return f"https://{MACHINE.address}:6443"
                mark.set_mark(lab.client)
                page = _mesh(report, lab)
                with report.step("what else the chapters need", waits=True):
                    built()
                _addons(report, lab)
                return page


def _start_node(report: Report) -> None:
    """Boot the node unless it runs, start the components that do not, load the images that are missing."""
    for folder in (MACHINE.state, paths.LOGS, MACHINE.state / "cni"):
        folder.mkdir(mode=0o711, parents=True, exist_ok=True)
    pki.create(MACHINE)
    cluster.write_kubeconfig(MACHINE)
    configuration.write(MACHINE)
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


def _cluster(report: Report) -> Lab:
    """Wait for the cluster; apply what belongs to it."""
    with report.step("cluster DNS, metrics and the node Ready"):
        lab = cluster.reach()
        cluster.apply_basics(lab.client)
        cluster.wait_node_ready(lab.client, MACHINE.name)
        rollout.complete(lab.client, ["coredns"], "kube-system", error=ClusterError)
    return lab


def _mesh(report: Report, lab: Lab) -> str:
    """Install Istio and Bookinfo unless they are there and well; return the page's address once it answers."""
    mesh.install_istio(report, lab)
    if STORE.ready:  # nothing is being built: they start while Bookinfo does
        addon_manifests.start(lab.client)
    with report.step("Bookinfo with sidecars"):
        addon_manifests.configure(lab.client)
        mesh.deploy_bookinfo(lab)
    with report.step("the first 200 through the gateway"):
        return mesh.wait_page(lab)


def _addons(report: Report, lab: Lab) -> None:
    """Load the images that were built meanwhile, and start the add-ons."""
    with report.step("load images that are missing"):
        cluster.import_images(MACHINE)
    with report.step("Prometheus, Zipkin and Jaeger"):
        addon_manifests.start(lab.client)
        addon_manifests.wait(lab.client)


def add(report: Report, name: str) -> str:
    """Install one of Istio's add-ons on the running lab; return its address, or the command that opens it.

    Raises
    ------
    ClusterError
        When the lab is not up, or has no image of the add-on: nothing can be pulled into it.
    """
    if machine.init_pid(MACHINE) is None:
        raise ClusterError("The embedded lab is not running.", "Start it with `meshlab up`, or name another cluster: --context NAME.")
    host.require_kubeconfig()
    client = connect(quiet=True, istio=False).client
    with report.step(f"add-on {name}"), objects.sentences(f"meshlab addons {name}"):
        if name not in addon_manifests.OURS:
            addon_manifests.install(client, name)
            return f"istioctl dashboard {name}"
        addon_manifests.start(client)
        addon_manifests.wait(client)
        return addons.addresses(client)[name]


def down(report: Report) -> None:
    """Take the lab down: no process, mount, network link, namespace, cgroup or state of it is left. The caches stay."""
    host.require_root("down")
    with lock.exclusive(lock.LAB):
        with report.step("stop the node and everything in it"):
            machine.stop(MACHINE)
        with report.step("delete its state"):
            machine.forget(MACHINE)
            paths.KUBECONFIG.unlink(missing_ok=True)
