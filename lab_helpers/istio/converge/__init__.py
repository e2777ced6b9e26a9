"""Until every proxy runs what was applied: nothing is sent through a mesh that is still of two minds."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from lab_helpers.core.errors import MeshError
from lab_helpers.core.manifests import title
from lab_helpers.core.wait import wait_until_none
from lab_helpers.istio import istiod, proxies
from lab_helpers.istio.converge import own
from lab_helpers.kube import channels

DEADLINE = 30.0
# istiod gathers changes for PILOT_DEBOUNCE_AFTER (0.1 s) of quiet before it pushes. A push that was seen to begin before
# istiod held our change may be somebody else's, but once this long has passed since then, ours has begun as well.
DEBOUNCE = 0.5
# Some changes are nothing to any proxy, and istiod pushes nothing: a label of a rule, a WorkloadGroup, an entry that no service
# selects. It counts what it wants to push as soon as it has looked at it; by this long after it held the change it has.
LOOKED = 1.5
# Two readings that are to be the same lie this far apart: a push that has begun reaches the first proxy in between.
APART = 0.03
SOON = 0.005  # seconds between two looks, each of which takes istiod some 8 ms: weights are in effect after a fifth of a second
LOG = "Look at its log: kubectl logs -n istio-system deployment/istiod."


@dataclass(frozen=True)
class Before:
    """How far istiod was before a change: what `converged` measures from."""

    pushes: dict[str, istiod.Pushes] = field(default_factory=dict)
    rejected: dict[str, int] = field(default_factory=dict)  # by the own pods, where istiod may not be asked


def before(lab) -> Before:
    """Note how far istiod is, or the own pods' proxies; call it right before changing anything."""
    return Before(istiod.pushes(lab.client)) if istiod.open_to(lab.client) else Before(rejected=own.rejected(lab))


@channels.kept()
def converged(lab, since: Before, written: list[dict], deleted: list[dict], deadline: float = DEADLINE) -> int:
    """Wait until every proxy of the lab's namespace, and every gateway, runs the configuration that was written or deleted.

    Three things in turn: every istiod's store holds these versions, or later ones; every istiod has begun a push since, or found
    nothing to push; every one of these proxies has accepted all it was sent, in two readings running.

    Parameters
    ----------
    written : list of dict
        Objects as the API server returned them, those of Istio's kinds only.
    deleted : list of dict
        Objects of Istio's kinds, and Services, that are gone.

    Returns
    -------
    int
        Number of proxies.

    Raises
    ------
    MeshError
        Names the objects that istiod does not know or the proxies that lag, or passes on why a proxy refused.
    """
    if not istiod.open_to(lab.client):
        return own.converged(lab, deadline, since.rejected)
    end = time.monotonic() + deadline
    services = [each for each in deleted if each["kind"] == "Service"]
    deleted = [each for each in deleted if each["kind"] != "Service"]

    def unknown() -> list[str]:
        kept = _kept(istiod.services(lab.client), services) if services else []
        return _late(stores := istiod.stores(lab.client), written) + _kept(stores, deleted) + kept

    wait_until_none(unknown, "istiod to take up the change", LOG, deadline, SOON)
    known, pushes = time.monotonic(), istiod.pushes(lab.client)
    here = proxies.concerned(lab)  # while istiod still gathers changes: this takes as long as two looks

    def not_pushed() -> list[str]:
        # Each istiod for itself: one that has begun says nothing of the proxies of another. One that has started since began with it all.
        passed, now = time.monotonic() - known, istiod.pushes(lab.client)
        ours = since.pushes if passed > DEBOUNCE else pushes
        wanting = [name for name, each in now.items() if passed <= LOOKED or each.wanted != since.pushes.get(name, each).wanted]
        return [f"{name} has not begun" for name in wanting if name in ours and now[name].begun <= ours[name].begun]

    wait_until_none(not_pushed, "istiod to push the change", LOG, max(end - time.monotonic(), 1), SOON)
    return _settled(lab, max(end - time.monotonic(), 1), here, known)


@channels.kept()
def settled(lab, deadline: float = DEADLINE) -> int:
    """Wait until every proxy that matters here is connected and has accepted all that istiod sent it; return their number."""
    if not istiod.open_to(lab.client):
        return own.converged(lab, deadline)
    return _settled(lab, deadline, proxies.concerned(lab), time.monotonic())


def refused_elsewhere(lab) -> list[str]:
    """What proxies of other namespaces have not taken, and why: not this learner's to mend, and no reason to wait."""
    if not istiod.open_to(lab.client):
        return []
    return [why for each in istiod.proxies(lab.client) if not _matters(lab, each) for why in each.refused]


def _matters(lab, proxy: istiod.Proxy) -> bool:
    return proxy.gateway or proxy.namespace == lab.namespace


def _settled(lab, deadline: float, here: set[str], listed: float) -> int:
    last: dict[str, dict] = {}
    still, pause = time.monotonic(), DEBOUNCE

    def late() -> list[str]:
        nonlocal last, still, here, listed, pause
        connected = [each for each in istiod.proxies(lab.client) if _matters(lab, each)]
        if (asked := time.monotonic()) - listed > pause:  # pods come and go, and whoever is on its way out need not follow
            here, listed = proxies.concerned(lab), time.monotonic()
            pause = max(DEBOUNCE, 5 * (listed - asked))  # in a large cluster the list is long
        refused = [why for each in connected for why in each.refused]
        if refused and time.monotonic() - still > DEBOUNCE:  # what corrects it is not on its way either
            raise MeshError(f"A proxy did not take the configuration: {'; '.join(refused)}", "Undo the last change, or correct it.")
        sent = {str(each): each.sent for each in connected}
        moving, last = sent != last, sent
        still = time.monotonic() if moving else still
        behind = [each for each in connected if each.behind and str(each) in here]
        if refused or behind or moving:
            return refused + [f"{each} lacks {', '.join(each.behind)}" for each in behind] or ["istiod is still sending"]
        return [f"{name} is not connected to istiod" for name in sorted(here - set(sent))]

    wait_until_none(late, "proxies to run the configuration", "See istioctl proxy-status, and the logs of the pods named.", deadline, APART)
    return len(last)


def _late(stores: list[dict], written: list[dict]) -> list[str]:
    """Who of `written` some istiod does not know as it is now."""
    return [title(each) for each in written if not all(_taken_up(store.get(istiod.key(each)), each["metadata"]) for store in stores)]


def _kept(stores: list[dict], deleted: list[dict]) -> list[str]:
    """Who of `deleted` some istiod still knows, and not another one of that name."""
    same = lambda held, gone: all(held[name] == gone[name] for name in ("uid", "creationTimestamp") if name in held)  # noqa: E731
    held = lambda each: [store[istiod.key(each)] for store in stores if istiod.key(each) in store]  # noqa: E731
    return [f"{title(each)} (deleted)" for each in deleted if any(same(known, each["metadata"]) for known in held(each))]


def _taken_up(held: dict | None, written: dict) -> bool:
    """Whether what istiod holds is what was written, or came after it: somebody may have written a status there since.

    Kubernetes' resource versions grow, and may be compared as numbers.
    """
    if held is None:
        return False
    versions = held.get("resourceVersion", ""), written["resourceVersion"]
    return int(versions[0]) >= int(versions[1]) if all(map(str.isdigit, versions)) else versions[0] == versions[1]
