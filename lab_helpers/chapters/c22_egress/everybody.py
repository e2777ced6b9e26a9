"""The mesh's own settings, which are everybody's: what a line of istioctl would do to them, who would feel it, and then doing it."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pandas as pd

from lab_helpers.core.fields import differences
from lab_helpers.core.manifests import title
from lab_helpers.core.wait import wait_until_none
from lab_helpers.istio import envoy, installation, istiod, proxies
from lab_helpers.kube import channels, commands, objects, pods
from lab_helpers.kube.commands import Output
from lab_helpers.kube.kinds import POD

CATCH_ALL = {"PassthroughCluster": "ALLOW_ANY", "BlackHoleCluster": "REGISTRY_ONLY"}
UNLIKE = "what becomes of it"


@objects.sentences("Comparing installations")
def would_change(lab, options: str) -> pd.DataFrame:
    """What ``istioctl upgrade`` with `options` would make of Istio as the course has installed it, object by object.

    Returns
    -------
    pandas.DataFrame
        One row an object that would not stay as it is: ``object``, and ``what becomes of it``: ``deleted``, ``created``, or how many of
        its fields would be others.
    """
    with ThreadPoolExecutor(2) as pool:
        now, then = (
            {title(each): each for each in made}
            for made in pool.map(lambda each: installation.manifest(lab, each), (installation.COURSE, options))
        )
    rows = [(name, "deleted") for name in now if name not in then] + [(name, "created") for name in then if name not in now]
    for name, document in now.items():
        if name in then and name != installation.RECORD and (fields := list(differences(document, then[name]))):
            rows.append((name, f"{len(fields)} field{'s' * (len(fields) > 1)} changed"))
    return pd.DataFrame(rows, columns=["object", UNLIKE])


@objects.sentences("Changing the mesh's settings")
def upgrade(lab, options: str = "", agreed: bool = False) -> Output:
    """Run ``istioctl upgrade`` with the course's profile, the lab's overlay, and `options`; wait until every proxy runs what came of it.

    Parameters
    ----------
    options : str
        Such as ``--set meshConfig.outboundTrafficPolicy.mode=REGISTRY_ONLY``; empty for the settings that the course begins with.
    agreed : bool
        Whether everybody who works on this mesh knows. Otherwise nothing is done, and whom it would reach is told.
    """
    line = " ".join(f"istioctl upgrade --skip-confirmation {installation.COURSE} {lab.overlay} {options}".split())
    if not agreed:
        every = Counter(each.namespace for each in istiod.proxies(lab.client))
        told = [
            "Not run yet: it is for every proxy of the mesh, and whoever works in these namespaces should know.",
            "",
            "NAMESPACE  PROXIES",
        ]
        return Output(line, "\n".join([*told, *(f"{namespace}  {count}" for namespace, count in sorted(every.items()))]))
    done = commands.run(lab.client, line, deadline=300)
    wanted = "REGISTRY_ONLY" if "REGISTRY_ONLY" in options else "ALLOW_ANY"
    until(lab, wanted)
    return done


def until(lab, mode: str) -> None:
    """Wait until every sidecar whose namespace has no Sidecar of its own treats hosts that it does not know as `mode` says."""
    ours = {lab.namespace, f"{lab.namespace}-visitor"}
    wait_until_none(
        lambda: [f"{name} has {found}" for name, found in modes(lab, ours).items() if found != mode],
        f"every proxy to have {mode}", "See istioctl proxy-status.", 30, 0.05,
    )  # fmt: skip


def modes(lab, namespaces: set[str]) -> dict[str, str]:
    """What each sidecar of some namespaces does with connections to hosts that it does not know: ``ALLOW_ANY`` or ``REGISTRY_ONLY``."""
    found = [each for namespace in namespaces for each in lab.client.list(POD, namespace) if proxies.has_proxy(each) and pods.ready(each)]
    places = [
        (each["metadata"]["name"], each["metadata"]["namespace"])
        for each in found
        if len(each["spec"]["containers"]) > 1 or each["spec"].get("initContainers")
    ]
    with ThreadPoolExecutor(4) as pool:
        return dict(
            zip((f"{name}.{namespace}" for name, namespace in places), pool.map(lambda each: _mode(lab, *each), places), strict=True)
        )


def _mode(lab, pod: str, namespace: str) -> str:
    path = "/config_dump?resource=dynamic_listeners&name_regex=virtualOutbound"
    dump = channels.get_json(lab.client, namespace, pod, envoy.ADMIN, path)
    # What is still draining is of the mode before.
    active = [each["active_state"]["listener"] for each in dump.get("configs") or [] if "active_state" in each]
    chains = [chain for each in active for chain in [*each.get("filter_chains", []), each.get("default_filter_chain") or {}]]
    found = [one["typed_config"].get("cluster") for chain in chains for one in chain.get("filters", []) if "typed_config" in one]
    return next((CATCH_ALL[cluster] for cluster in reversed(found) if cluster in CATCH_ALL), "no such listener")
