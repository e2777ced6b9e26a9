"""A rule for an address, which no manifest can name beforehand; and who came from that address."""

from __future__ import annotations

from dataclasses import replace

from lab_helpers.core import text
from lab_helpers.core.manifests import beside, find, load, title
from lab_helpers.core.wait import wait_until
from lab_helpers.istio import apply, envoy
from lab_helpers.kube import objects, pods
from lab_helpers.kube.apply import Manifest, Outcome

FLUSHED = 15.0  # seconds: a proxy writes its log every second, or every ten
PLACE = "192.0.2.1"  # in the manifest: an address of documentation, which nobody has


@objects.sentences("A rule for an address")
def apply_for_address_of(lab, app: str, manifest: str) -> Outcome:
    """Apply `manifest` with the address of the pod of `app` in place of 192.0.2.1.

    Raises
    ------
    TrafficError
        The app has no ready pod.
    """
    address = pods.require_ready(lab.client, app)["status"]["podIP"]
    documents = [_with(each, address) for each in load(manifest)]
    done = apply.write(lab, documents, f"sed 's/{PLACE}/{address}/' manifests/{manifest} | kubectl apply --server-side -f -")
    return replace(
        done, manifests=[Manifest(manifest, text.read(find(manifest), manifest), [title(each) for each in documents], beside(manifest))]
    )


@objects.sentences("Reading a proxy's log")
def lines_from(lab, server: str, caller: str) -> tuple[str, str]:
    """Two lines of the log of `server`'s proxy about requests from the address of `caller`'s pod that were answered 200.

    Returns
    -------
    str, str
        The last one that came by mutual TLS, for a name that the caller's proxy had asked for; the last one in plain text.

    Raises
    ------
    MeshError
        There is none of one kind.
    TrafficError
        One of the two has no ready pod, or the log cannot be read.
    """
    pod = pods.require_ready(lab.client, server)
    address = pods.require_ready(lab.client, caller)["status"]["podIP"]

    def found() -> tuple[str, str] | None:
        named, nameless = [], []
        for line in envoy.access_log(lab.client, pod):
            if f" {address}:" in line and '" 200 ' in line:
                (named if " outbound_" in line else nameless).append(line)
        return (named[-1], nameless[-1]) if named and nameless else None

    what = f"the proxy of {server} to write of two requests from {address}"
    return wait_until(found, what, FLUSHED, 0.2, do="Is its access log on? See accessLogFile in the mesh's settings.")


def _with(value, address: str):
    if isinstance(value, dict):
        return {name: _with(each, address) for name, each in value.items()}
    if isinstance(value, list):
        return [_with(each, address) for each in value]
    return address if value == PLACE else value
