"""A widget that moves a real mesh, and its recording for those who have none.

A function does the work and returns what can be drawn; Papermill calls it. `Living` is the same in JupyterLab, with sliders. For readers of
the static page, and of a notebook whose kernel has gone, it carries a recording of what that function returned, and the same JavaScript
(``living.js``, and the widget's own) draws both.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from html import escape
from importlib.resources import files
from uuid import uuid4

import anywidget
import traitlets

from lab_helpers.core.errors import LabError
from lab_helpers.kube.apply import Change
from lab_helpers.show.living.background import Background

HERE = files("lab_helpers.show.living")
SCRIPT, STYLE = (HERE / "living.js").read_text(encoding="utf-8"), (HERE / "living.css").read_text(encoding="utf-8")
_living: list[Living] = []


class Living(anywidget.AnyWidget):
    """Sliders, and what comes of them.

    On release the setting is applied, and requests are sent; a newer release ends an older one's traffic. Whatever the API server or the
    mesh refuses is shown in place. At the chapter's next checkpoint, or beside a newer widget, it comes to rest.

    A subclass has ``_esm`` (of `module`), ``name``, ``style``, ``script`` and ``wanted``, and says how it works by `steps` and `finished`.

    Parameters
    ----------
    lab : Lab
    state : dict
        What can be drawn at the beginning; its key ``wanted`` has the setting.
    recorded : sequence of sequence of dict
        For each setting that was measured beforehand, the states on the way.
    told : dict
        What the script has to know of the widget as a whole.
    always : dict
        What each state has.

    Attributes
    ----------
    name, script, style : str
        Its class on the page, and its own JavaScript and CSS.
    wanted : str
        The key of a state under which the setting is found: the script's ``WANTED``.
    """

    name = script = style = wanted = ""
    state = traitlets.Dict().tag(sync=True)
    told = traitlets.Dict().tag(sync=True)
    place = traitlets.Unicode().tag(sync=True)  # by which its output on the page knows the model: the model's own id

    def __init__(self, lab, state: dict, recorded: Sequence[Sequence[dict]] = (), told: dict | None = None, always: dict | None = None):
        self.background = Background(self.steps, self._show, self._fail)
        self.lab, self.recorded, self.always = lab, list(recorded), always or {}
        place = uuid4().hex
        freeze(lab)
        super().__init__(state={**self.always, **state, "phase": "ready"}, told=told or {}, place=place, model_id=place)
        self.on_msg(self._asked)
        _living.append(self)

    def steps(self, wanted, stopped: Callable[[], bool]) -> Iterable[dict]:
        """Apply the setting `wanted`, send requests, and tell on the way what can be drawn; end early once `stopped()` says yes."""
        raise NotImplementedError

    def finished(self, state: dict) -> bool:
        """Whether a state is the last of its setting."""
        raise NotImplementedError

    def close(self) -> None:
        """End the traffic and its thread; the last picture stays on the page."""
        if self in _living:  # and not one that was refused before it lived
            _living.remove(self)
            self.background.close()
        super().close()

    def _asked(self, _widget, message: dict, _buffers) -> None:
        if message.get("do") == "stop":
            self.background.stop()
            self.state = {**self.state, "phase": "stopped"}
        elif message.get("do") == "apply":
            self.state = {**self.always, self.wanted: message["wanted"], "phase": "applying"}
            self.background.request(message["wanted"])

    def _show(self, wanted, state: dict) -> None:
        if self.state.get(self.wanted) == wanted and self.state.get("phase") != "stopped":
            self.state = {**state, "phase": "done" if self.finished(state) else "measuring"}

    def _fail(self, wanted, error: LabError) -> None:
        if self.state.get(self.wanted) == wanted:
            self.state = {**self.always, self.wanted: wanted, "phase": "refused", "what": error.what, "do": error.do}

    def _repr_mimebundle_(self, **_how) -> dict[str, str]:
        # HTML, and no view of the model: JupyterLab prefers a view to HTML, and has nothing but "model not found" for it in a notebook
        # that is opened when its kernel has gone.
        return {"text/html": output(type(self), self.recorded, self.told, self.place), "text/plain": repr(self)}

    @classmethod
    def still(cls, _last: dict) -> str:
        """HTML of the last state of a recording, for where scripts do not run."""
        raise NotImplementedError


def module(script: str) -> str:
    """A widget's own script as the module that anywidget loads."""
    return f"{SCRIPT}{script}\nexport default {{ initialize }};\n"


def freeze(lab) -> list[Change]:
    """Bring the widgets of the lab's namespace to rest, whose picture is of a mesh that is about to be another."""
    for each in [each for each in _living if each.lab.namespace == lab.namespace]:
        each.close()
    return []


def output(kind: type[Living], recorded: Sequence[Sequence[dict]], told: dict | None = None, place: str = "") -> str:
    """HTML that shows a recording as the widget would show it: plain JavaScript, nothing loaded.

    Where scripts do not run, a sentence and the last picture of the recording are there.

    Parameters
    ----------
    kind : type of Living
    recorded : sequence
        With nothing in it, only the sentence is there.
    told : dict
        What the script has to know of the widget as a whole.
    place : str
        That of the widget that takes the recording's place, while it lives.
    """
    still = "<p class='note'>For sliders that move a mesh, run this cell in JupyterLab, after the ones above it.</p>"
    still += kind.still(recorded[-1][-1]) if recorded else ""
    data = {"recorded": recorded, "told": told or {}, "place": place}
    attributes = " ".join(f'data-{name}="{escape(json.dumps(value, separators=(",", ":")))}"' for name, value in data.items())
    start = "const { previousElementSibling: host, dataset } = document.currentScript;\n"
    start += "output(host, Object.fromEntries(Object.entries(dataset).map(([name, value]) => [name, JSON.parse(value)])))"
    return (
        f"<style>{STYLE}{kind.style}</style><div class='meshlab-living {kind.name}'>{still}</div>"
        f"<script {attributes}>(() => {{\n{SCRIPT}{kind.script}\n{start};\n}})();</script>"
    )
