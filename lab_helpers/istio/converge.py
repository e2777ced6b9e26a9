"""Until every proxy runs what was applied: nothing is sent through a mesh that is still of two minds."""

from __future__ import annotations

import time
from dataclasses import dataclass

from lab_helpers.core.errors import MeshError
from lab_helpers.core.wait import wait_until_none
from lab_helpers.istio import istiod, proxies
from lab_helpers.kube import channels

DEADLINE = 30.0
# istiod gathers changes for PILOT_DEBOUNCE_AFTER (0.1 s) of quiet before it pushes. A push that was seen to begin before
# istiod held our change may be somebody else's, but once this long has passed since then, ours has begun as well.
DEBOUNCE = 0.5
SOON = 0.005  # seconds between two looks, each of which takes istiod some 8 ms: weights are in effect after a fifth of a second
LOG = "Look at its log: kubectl logs -n istio-system deployment/istiod."


@dataclass(frozen=True)
class Before:
    """How far istiod was before a change: what `converged` measures from."""

    pushes: int


def before(lab) -> Before:
    """Note how far istiod is; call it right before changing anything."""
    return Before(istiod.pushes(lab))


@channels.kept()
def converged(lab, since: Before, written: list[dict], deleted: list[dict], deadline: float = DEADLINE) -> int:
    """Wait until every proxy of the mesh runs the configuration that was written or deleted.

    Three things in turn: istiod's store holds exactly these versions; istiod has begun a push since; every proxy has
    accepted all it was sent, in two readings running.

    Parameters
    ----------
    written : list of dict
        Objects as the API server returned them, those of Istio's kinds only.
    deleted : list of dict
        Objects of Istio's kinds that are gone.

    Returns
    -------
    int
        Number of proxies.

    Raises
    ------
    MeshError
        Names the objects that istiod does not know or the proxies that lag, or passes on why a proxy refused.
    """
    end = time.monotonic() + deadline
    wait_until_none(lambda: _unknown(istiod.holds(lab), written, deleted), "istiod to take up the change", LOG, deadline, SOON)
    known, pushes = time.monotonic(), istiod.pushes(lab)
    here = proxies.meshed(lab)  # while istiod still gathers changes: this takes as long as two looks

    def not_pushed() -> list[str]:
        now = istiod.pushes(lab)
        begun = now > pushes or (now > since.pushes and time.monotonic() - known > DEBOUNCE)
        return [] if begun else ["none has begun"]

    wait_until_none(not_pushed, "istiod to push the change", LOG, max(end - time.monotonic(), 1), SOON)
    return _settled(lab, max(end - time.monotonic(), 1), here, known)


@channels.kept()
def settled(lab, deadline: float = DEADLINE) -> int:
    """Wait until every running proxy is connected and has accepted all that istiod sent it; return their number."""
    return _settled(lab, deadline, proxies.meshed(lab), time.monotonic())


def _settled(lab, deadline: float, here: set[str], listed: float) -> int:
    last: dict[str, dict] = {}
    still = time.monotonic()

    def late() -> list[str]:
        nonlocal last, still, here, listed
        connected = istiod.proxies(lab)
        if time.monotonic() - listed > DEBOUNCE:  # pods come and go, and whoever is on its way out need not follow
            here, listed = proxies.meshed(lab), time.monotonic()
        refused = [f"{each} refused {kind}: {why}" for each in connected for kind, why in each.errors.items()]
        if refused and time.monotonic() - still > DEBOUNCE:  # what corrects it is not on its way either
            raise MeshError(f"A proxy did not take the configuration: {'; '.join(refused)}", "Undo the last change, or correct it.")
        sent = {str(each): each.sent for each in connected}
        moving, last = sent != last, sent
        still = time.monotonic() if moving else still
        behind = [each for each in connected if each.behind and str(each) in here]
        if refused or behind or moving:
            return refused + [f"{each} lacks {', '.join(each.behind)}" for each in behind] or ["istiod is still sending"]
        return [f"{name} is not connected to istiod" for name in sorted(here - set(sent))]

    wait_until_none(late, "proxies to run the configuration", "See istioctl proxy-status, and the logs of the pods named.", deadline, SOON)
    return len(last)


def _unknown(store: dict, written: list[dict], deleted: list[dict]) -> list[str]:
    def version(each: dict) -> str:
        return store.get((each["kind"], each["metadata"].get("namespace", ""), each["metadata"]["name"]), "")

    late = [f"{each['kind']} {each['metadata']['name']}" for each in written if version(each) != each["metadata"]["resourceVersion"]]
    return late + [f"{each['kind']} {each['metadata']['name']} (deleted)" for each in deleted if version(each)]
