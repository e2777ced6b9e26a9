"""The embedded lab as a whole: bring it up or repair it, add to it, take it down."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from lab_helpers.core import paths
from lab_helpers.core.errors import ClusterError
from lab_helpers.kube import mark, objects, rollout
from lab_helpers.lab import Lab, connect
from lab_helpers.node import files, host, lock, machine
from lab_helpers.node.build import store, toolchain
from lab_helpers.node.build.binaries import ISTIO, KUBERNETES, link_tools
from lab_helpers.node.build.debian import NODE_ROOT
from lab_helpers.node.build.images import LAYOUTS, STORE, lasting
from lab_helpers.node.install import addon_manifests, mesh
from lab_helpers.node.kubernetes import cluster, components, configuration, pki
from lab_helpers.node.machine import MACHINE, state
from lab_helpers.node.progress import Report
from lab_helpers.traffic import addons

# Where one of these is another one than the node was booted with, it has to boot again.
MADE_OF = (KUBERNETES, NODE_ROOT, *LAYOUTS)


def up(report: Report, only: str | None = None, rebuild: Sequence[str] = (), force: bool = False) -> str:
    """Bring the lab up from any state; what is well is left as it is.

    Parameters
    ----------
    report : Report
    only : {"kubernetes", "build"}, optional
        Stop after the bare cluster (images loaded, no Istio, not yet the course's to change), or after building.
    rebuild : sequence of str
        Parts to build again even if they are in the cache.
    force : bool
        Take over a lab that is somebody else's.

    Returns
    -------
    str
        The address of Bookinfo's page; of the API server with ``only="kubernetes"``; empty with ``only="build"``.

    Raises
    ------
    LabError
        Naming what did not come up, and why.
    """
    command = ["up", *(["--only", only] if only else []), *(f"--rebuild={part}" for part in rebuild)]
    host.require_root(*command)
    with lock.exclusive(lock.LAB), lock.exclusive(lock.CACHE):
        if only != "build":
            state.require_own(MACHINE.state, force, *command)
            machine.require_same_address(MACHINE)
            state.clear(MACHINE.state)
        host.require(None if only == "build" else MACHINE, built=not store.missing(host.WANTED))
        store.clean()
        store.forget(host.WANTED, rebuild)
        toolchain.install_packages(report, toolchain.packages(built=not store.missing(host.WANTED)))
        for parts in (host.FIRST, host.LATER):  # both, so that the time that is left is that of all of it
            store.announce(parts, report)
        store.ensure(host.FIRST, report)
        link_tools(KUBERNETES.path / "kubectl", ISTIO.path / "istioctl")
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
                with report.step("clear what only building needed"):
                    store.collect(lasting((*host.WANTED, *LAYOUTS)))
                return page


def _start_node(report: Report) -> None:
    """Boot the node unless it runs, start the components that do not, load the images that are missing."""
    for folder in (MACHINE.state, paths.LOGS, MACHINE.state / "cni"):
        folder.mkdir(mode=0o711, parents=True, exist_ok=True)
    state.claim(MACHINE.state, MACHINE.address)
    store_of_images, root = MACHINE.state / "containerd", MACHINE.state / "root"
    for folder in (store_of_images, root):
        state.clear(folder)
    if (changed := _changed()) and store_of_images.exists():
        with report.step("stop the node: it is made of other parts now"):
            machine.stop(MACHINE)
            if changed.intersection(part.path.name for part in LAYOUTS):  # pods start with what the node has of an image's name
                state.discard(store_of_images)
            if NODE_ROOT.path.name in changed:  # what was written over the old one does not go with another
                state.discard(root)
    pki.create(MACHINE)
    cluster.write_kubeconfig(MACHINE)
    configuration.write(MACHINE)
    with report.step("lay out the images"):
        cluster.seed_images(MACHINE)
    if machine.init_pid(MACHINE) is None:
        with report.step("boot the node"):
            machine.stop(MACHINE)  # what a boot that was killed may have left
            machine.start(MACHINE, paths.LOGS / "boot.log")
            state.note_parts(MACHINE.state, [part.path.name for part in MADE_OF])
    with report.step("start etcd, containerd, the API server and the rest") as say:
        components.start(MACHINE, say)
    with report.step("load images that are missing"):
        cluster.import_images(MACHINE)


def _changed() -> set[str]:
    """The parts of which the node is to be made that are not those that it is made of."""
    noted = state.read(MACHINE.state)
    return {part.path.name for part in MADE_OF}.difference(noted.parts if noted else ())


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


def down(report: Report, force: bool = False) -> None:
    """Take the lab down: no process, mount, network link, namespace, cgroup or state of it is left. The caches stay.

    Raises
    ------
    HostError
        It is somebody else's; with `force` it goes all the same.
    """
    host.require_root("down")
    with lock.exclusive(lock.LAB):
        state.require_own(MACHINE.state, force, "down")
        theirs = state.read(MACHINE.state)
        with report.step("stop the node and everything in it"):
            machine.stop(MACHINE)
        with report.step("delete its state"):
            # Before the state, which says where it is.
            with nullcontext() if theirs and theirs.uid != paths.USER.pw_uid else files.as_user():
                Path(theirs.kubeconfig if theirs else paths.KUBECONFIG).unlink(missing_ok=True)
            state.discard(MACHINE.state)
