"""The limit on connections as something to play with: a slider for it, and what becomes of eight callers."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator

from lab_helpers.chapters.c17_circuit_breaker.fortio import Load, load
from lab_helpers.core.errors import LabError, MeshError
from lab_helpers.core.manifests import FOLDER
from lab_helpers.core.manifests import load as manifest
from lab_helpers.core.statistics import rate_interval
from lab_helpers.istio import apply, configuration
from lab_helpers.kube import objects
from lab_helpers.kube.apply import Outcome
from lab_helpers.kube.kinds import Kind
from lab_helpers.show.living.knob import Step
from lab_helpers.show.svg import BAD, GOOD, Drawing, text

RULE = "17_circuit_breaker/05-kept-open.yaml"
CALLERS, EVERY, TIMES, BATCHES = 8, 0.08, 8, 3  # eight callers ask at the same moment, eight times for each picture
BATCH = CALLERS * TIMES
LEFT, WIDE = 90, 420  # pixels: where the bars begin, and how long 100 % are


def limit(lab, connections: int) -> Outcome:
    """Apply the chapter's rule with another ``maxConnections``, and return when every proxy follows.

    Raises
    ------
    LabError
        No whole number from 1 on. (0 means to Istio: no limit.)
    MeshError
        Another DestinationRule speaks for productpage.
    """
    if isinstance(connections, bool) or not isinstance(connections, int) or connections < 1:
        raise LabError(f"{connections!r} connections are no limit.", "Take a whole number from 1 on; to Istio, 0 is the same as not set.")
    document = copy.deepcopy(manifest(RULE, FOLDER)[0])
    name, host = document["metadata"]["name"], document["spec"]["host"]
    hosts = configuration.hosts(lab, host)
    for other in lab.client.list(Kind.of(document)):
        if other["spec"].get("host") in hosts and other["metadata"]["name"] != name:
            raise MeshError(
                f"DestinationRule {other['metadata']['name']} speaks for {host}, too, and a proxy takes the limits of one.",
                f"Delete it: kubectl delete destinationrule {other['metadata']['name']}.",
            )
    document["spec"]["trafficPolicy"]["connectionPool"]["tcp"]["maxConnections"] = connections
    return apply.write(lab, [document], f"kubectl apply --server-side -f - <<< '{json.dumps(document)}'")


@objects.sentences("Limiting connections")
def follow(lab, value: int, stopped: Callable[[], bool] = lambda: False) -> Iterator[Step]:
    """Allow `value` connections, have eight callers ask at the same moments, and tell after each batch what came of it.

    Before anything is counted, some requests open the connections: each burst opens one more.

    Yields
    ------
    Step
        The shares that were answered and refused, with a 99 % interval, and how long an answer took.
    """
    limit(lab, value)
    load(lab, CALLERS, CALLERS * min(value + 1, CALLERS), every=EVERY)
    runs: list[Load] = []
    for _ in range(BATCHES):
        if stopped():
            return
        runs.append(load(lab, CALLERS, BATCH, every=EVERY))
        yield Step(picture(runs), sentence(runs, value), done=sum(run.requests for run in runs), of=BATCH * BATCHES)


def sentence(runs: list[Load], value: int) -> str:
    """What has come of so many runs, in words."""
    sent, refused = sum(run.requests for run in runs), sum(run.refused for run in runs)
    low, high = rate_interval(refused, sent)
    told = f"{sent} of {BATCH * BATCHES} requests sent, by {CALLERS} callers, over {value} connection{'s' if value > 1 else ''}."
    span = f"99 % interval {100 * low:.0f} to {100 * high:.0f} %"
    return f"{told} {refused / sent:.0%} refused ({span}); an answer took {mean(runs):.0f} ms."


def mean(runs: list[Load]) -> float:
    """Milliseconds that a request took that was answered 200, on average over all of them."""
    answered = [(run.codes.get(200, 0), run.ms) for run in runs if run.codes.get(200)]
    return sum(count * ms for count, ms in answered) / sum(count for count, _ in answered) if answered else float("nan")


def picture(runs: list[Load]) -> Drawing:
    """Two bars, answered and refused, of all requests of some runs, with the interval of the second."""
    sent, refused = sum(run.requests for run in runs), sum(run.refused for run in runs)
    shares = {"answered": (1 - refused / sent, GOOD), "refused": (refused / sent, BAD)}
    low, high = rate_interval(refused, sent)
    parts = []
    for row, (name, (share, colour)) in enumerate(shares.items()):
        y = 16 + 34 * row
        parts.append(text(LEFT - 8, y, name, "end"))
        parts.append(f'<rect x="{LEFT}" y="{y - 11}" width="{WIDE * share:.1f}" height="22" fill="{colour}"/>')
        parts.append(text(LEFT + WIDE + 12, y, f"{share:.0%}", "start"))
    ends, y = (LEFT + WIDE * low, LEFT + WIDE * high), 50
    caps = "".join(f"M{x:.1f} {y - 6}v12" for x in ends)
    parts.append(f'<path d="M{ends[0]:.1f} {y}H{ends[1]:.1f}{caps}" stroke="currentColor" stroke-width="1.4" fill="none"/>')
    parts.append(text(LEFT, 86, f"{sent} requests; an answer took {mean(runs):.0f} ms on average", "start"))
    return Drawing(LEFT + WIDE + 60, 100, parts, f"{refused / sent:.0%} of {sent} requests were refused.")
