"""Traffic shifting as something to play with: sliders for the weights, and the shares that really come of them.

One function, `follow`, does the work and returns plain numbers; Papermill calls it. `TrafficShifting` is the same in JupyterLab,
with sliders; for readers of the static page, who have no mesh, and of a notebook whose kernel has gone, it carries a recording of
what `follow` returned here, and the same JavaScript (``widget.js``) draws both.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from importlib.resources import files
from uuid import uuid4

import anywidget
import traitlets

from lab_helpers.chapters.c12_traffic_shifting.weights import Progress, current, rules, subsets
from lab_helpers.chapters.c12_traffic_shifting.weights import follow as steps
from lab_helpers.core.errors import LabError
from lab_helpers.core.statistics import ALPHA, goodness_of_fit, rate_interval
from lab_helpers.istio import apply
from lab_helpers.kube import objects
from lab_helpers.kube.apply import Change
from lab_helpers.show.background import Background
from lab_helpers.show.plots import plot_shares

HERE = files("lab_helpers.chapters.c12_traffic_shifting")
SCRIPT, STYLE = (HERE / "widget.js").read_text(encoding="utf-8"), (HERE / "widget.css").read_text(encoding="utf-8")
CONFIDENCE = 0.99
_living: list[TrafficShifting] = []


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


class TrafficShifting(anywidget.AnyWidget):
    """Three linked sliders and the shares that the mesh makes of them.

    On release the weights are applied, and requests are sent until there are `n`; a newer release ends an older one's
    traffic. Whatever the API server or the mesh refuses is shown in place. Where the names of the versions have gone since, as after the
    chapter's clean-up, they are applied again. At the chapter's next checkpoint, or beside a newer one of these, it comes to rest.

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

    _esm = SCRIPT + "\nexport default { initialize };\n"
    _css = STYLE
    state = traitlets.Dict().tag(sync=True)
    place = traitlets.Unicode().tag(sync=True)  # by which its output on the page knows the model: the model's own id

    def __init__(self, lab, service: str = "reviews", n: int = 400, recorded: Sequence[Sequence[dict]] = ()):
        self.background = Background(lambda wanted, stopped: self._follow(wanted, n, stopped), self._show, self._fail)
        self.lab, self.service = lab, service
        with objects.sentences(f"Reading the weights of {service}"):
            versions, now = subsets(lab, service), current(lab, service)
            self.names = [_as_applied(each) for each in rules(lab, "DestinationRule", service)]
        freeze(lab)
        weights = now if set(now) <= set(versions) and sum(now.values()) == 100 else {versions[0]: 100}
        self.recorded = list(recorded)
        weights = {name: weights.get(name, 0) for name in versions}
        place = uuid4().hex
        last = self.recorded[-1][-1] if self.recorded and self.recorded[-1][-1]["weights"] == weights else {"weights": weights, "n": n}
        super().__init__(state={**last, "phase": "ready"}, place=place, model_id=place)
        self.n = n
        self.on_msg(self._told)
        _living.append(self)

    def close(self) -> None:
        """End the traffic and its thread; the last picture stays on the page."""
        if self in _living:
            _living.remove(self)
        self.background.close()
        super().close()

    def _follow(self, weights: dict, n: int, stopped: Callable[[], bool]) -> Iterator[dict]:
        with objects.sentences(f"Shifting {self.service}"):
            gone = not rules(self.lab, "DestinationRule", self.service)
            if gone:
                apply.write(self.lab, self.names)
        for state in follow(self.lab, self.service, weights, n, stopped):
            yield {**state, "names": gone}

    def _told(self, _widget, message: dict, _buffers) -> None:
        if message.get("do") == "stop":
            self.background.stop()
            self.state = {**self.state, "phase": "stopped"}
        elif message.get("do") == "apply":
            weights = {str(name): weight for name, weight in message["weights"].items()}
            self.state = {"weights": weights, "phase": "applying", "n": self.n}
            self.background.request(weights)

    def _show(self, weights: dict, state: dict) -> None:
        if self.state.get("weights") == weights and self.state.get("phase") != "stopped":
            self.state = {**state, "phase": "done" if state["sent"] >= state["n"] else "measuring"}

    def _fail(self, weights: dict, error: LabError) -> None:
        if self.state.get("weights") == weights:
            self.state = {"weights": weights, "phase": "refused", "n": self.n, "what": error.what, "do": error.do}

    def __repr__(self) -> str:
        return "Sliders for the weights of traffic, and the shares that come of them."

    def _repr_mimebundle_(self, **_how) -> dict[str, str]:
        # HTML, and no view of the model: JupyterLab prefers a view to HTML, and has nothing but "model not found" for it in a notebook
        # that is opened when its kernel has gone.
        return {"text/html": replay(self.recorded, self.place), "text/plain": repr(self)}


def freeze(lab) -> list[Change]:
    """Bring the widgets of the lab's namespace to rest, whose picture is of a mesh that is about to be another."""
    for each in [each for each in _living if each.lab.namespace == lab.namespace]:
        each.close()
    return []


def _as_applied(document: dict) -> dict:
    """An object without what the API server has added."""
    kept = {"name": document["metadata"]["name"]}
    return {"apiVersion": document["apiVersion"], "kind": document["kind"], "metadata": kept, "spec": document["spec"]}


def replay(recorded: Sequence[Sequence[dict]], place: str = "") -> str:
    """HTML that shows a recording of `rehearse` as the widget would show it: plain JavaScript, nothing loaded.

    Where scripts do not run, a sentence and the last picture of the recording are there.

    Parameters
    ----------
    recorded : sequence
        What `rehearse` returned; with nothing in it, only the sentence is there.
    place : str
        That of the widget that takes the recording's place, while it lives.
    """
    still = "<p class='note'>For sliders that move a mesh, run this cell in JupyterLab, after the ones above it.</p>"
    if recorded:
        last = recorded[-1][-1]
        still += plot_shares(last["counts"], last["weights"])._repr_html_()
    data = escape(json.dumps(recorded, separators=(",", ":")))
    start = "const { previousElementSibling: host, dataset } = document.currentScript;\n"
    start += "output(host, JSON.parse(dataset.recorded), dataset.place)"
    return (
        f"<style>{STYLE}</style><div class='meshlab-shifting'>{still}</div>"
        f'<script data-place="{place}" data-recorded="{data}">'
        f"(() => {{\n{SCRIPT}\n{start};\n}})();</script>"
    )
