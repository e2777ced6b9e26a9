"""Traffic shifting as something to play with: sliders for the weights, and the shares that really come of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.resources import files

from lab_helpers.chapters.c12_traffic_shifting.weights import Progress, current, rules, subsets
from lab_helpers.chapters.c12_traffic_shifting.weights import follow as steps
from lab_helpers.core.errors import LabError
from lab_helpers.core.statistics import ALPHA, goodness_of_fit, rate_interval
from lab_helpers.istio import apply
from lab_helpers.kube import objects
from lab_helpers.show.living import Living, module
from lab_helpers.show.plots import plot_shares

HERE = files("lab_helpers.chapters.c12_traffic_shifting")
SCRIPT, STYLE = (HERE / "widget.js").read_text(encoding="utf-8"), (HERE / "widget.css").read_text(encoding="utf-8")
CONFIDENCE = 0.99


def follow(lab, service: str, weights: Mapping[str, int], n: int = 400, stopped: Callable[[], bool] = lambda: False) -> Iterator[dict]:
    """Apply `weights`, send `n` requests, and tell how the shares grow towards them.

    Parameters are those of `weights.follow`, and so are the errors.

    Yields
    ------
    dict
        What can be drawn, as JSON takes it: ``weights`` and ``counts`` by version, ``intervals`` (99 % Clopper-Pearson, percent, by
        version), ``missed`` (versions whose interval does not hold their weight), ``sent``, ``failed``, ``n``, ``p`` (of the chi-square
        test; None while there are too few requests for one), ``lowest`` (the least that p has been on the way), ``alpha``, ``proxies``
        and ``seconds`` (how many follow, and how long after the change; None where nothing changed).
    """
    lowest = None
    with objects.sentences(f"Shifting {service}"):
        for progress in steps(lab, service, weights, n, stopped=stopped):
            state = _state(progress)
            lowest = min((p for p in (lowest, state["p"]) if p is not None), default=None)
            yield {**state, "lowest": lowest}


def rehearse(lab, service: str, settings: Sequence[Mapping[str, int]], n: int = 400) -> list[list[dict]]:
    """`follow` each of `settings` in turn, and return all that it tells: the recording that the static page replays."""
    return [list(follow(lab, service, weights, n)) for weights in settings]


def _state(progress: Progress) -> dict:
    answered = sum(progress.counts.values())
    intervals = {name: rate_interval(count, answered, CONFIDENCE) for name, count in progress.counts.items() if answered}
    try:
        p = float(f"{goodness_of_fit(progress.counts, progress.weights).p_value:.2g}")
    except LabError:  # too few as yet
        p = None
    changed = bool(progress.effect.proxies)
    wanted = {name: progress.weights.get(name, 0) / 100 for name in intervals}
    return {
        "weights": progress.weights, "counts": progress.counts,
        "intervals": {name: [round(100 * low, 1), round(100 * high, 1)] for name, (low, high) in intervals.items()},
        "missed": [name for name, (low, high) in intervals.items() if not low <= wanted[name] <= high],
        "sent": progress.sent, "failed": progress.failed, "n": progress.n, "p": p, "alpha": ALPHA,
        "proxies": progress.effect.proxies, "seconds": round(progress.effect.seconds, 2) if changed else None,
    }  # fmt: skip


class TrafficShifting(Living):
    """Three linked sliders and the shares that the mesh makes of them.

    Where the names of the versions have gone since, as after the chapter's clean-up, they are applied again.

    Parameters
    ----------
    lab : Lab
    service : str
        Its DestinationRule names the versions.
    n : int
        Requests for each setting.
    recorded : sequence
        What `rehearse` returned, for readers without a mesh.

    Raises
    ------
    MeshError
        There is no DestinationRule for `service`.
    """

    name, script, style, wanted = "meshlab-shifting", SCRIPT, STYLE, "weights"
    _esm = module(SCRIPT)

    def __init__(self, lab, service: str = "reviews", n: int = 400, recorded: Sequence[Sequence[dict]] = ()):
        self.service, self.n = service, n
        with objects.sentences(f"Reading the weights of {service}"):
            versions, now = subsets(lab, service), current(lab, service)
            self.names = [_as_applied(each) for each in rules(lab, "DestinationRule", service)]
        weights = now if set(now) <= set(versions) and sum(now.values()) == 100 else {versions[0]: 100}
        weights = {name: weights.get(name, 0) for name in versions}
        last = recorded[-1][-1] if recorded and recorded[-1][-1]["weights"] == weights else {"weights": weights}
        super().__init__(lab, last, recorded, always={"n": n})

    def steps(self, wanted: dict, stopped: Callable[[], bool]) -> Iterator[dict]:
        """As `follow`; ``names`` says whether the names of the versions had gone."""
        with objects.sentences(f"Shifting {self.service}"):
            gone = not rules(self.lab, "DestinationRule", self.service)
            if gone:
                apply.write(self.lab, self.names)
        for state in follow(self.lab, self.service, wanted, self.n, stopped):
            yield {**state, "names": gone}

    def finished(self, state: dict) -> bool:
        """Whether all was sent."""
        return state["sent"] >= state["n"]

    @classmethod
    def still(cls, last: dict) -> str:
        """The picture of the shares."""
        return plot_shares(last["counts"], last["weights"])._repr_html_()

    def __repr__(self) -> str:
        return "Sliders for the weights of traffic, and the shares that come of them."


def _as_applied(document: dict) -> dict:
    """An object without what the API server has added."""
    kept = {"name": document["metadata"]["name"]}
    return {"apiVersion": document["apiVersion"], "kind": document["kind"], "metadata": kept, "spec": document["spec"]}
