"""Until a change is in effect, with istiods and proxies that a test moves by hand."""

from types import SimpleNamespace

import pytest

from lab_helpers.core.errors import MeshError
from lab_helpers.istio import converge, istiod, proxies
from lab_helpers.istio.istiod import Proxy, Pushes

RULE = {"kind": "VirtualService", "metadata": {"name": "r", "namespace": "default", "resourceVersion": "5", "uid": "u"}}
LAB = SimpleNamespace(namespace="default", client=None)
WAIT = 1.5  # seconds; longer than converge.DEBOUNCE


@pytest.fixture(autouse=True)
def no_limits(monkeypatch):
    """Whoever asks may ask istiod."""
    monkeypatch.setattr(istiod, "open_to", lambda client: True)


class Mesh:
    """What istiods and proxies say, look by look: the last of each list stays."""

    def __init__(self, monkeypatch, pushes: list[dict], connected: list[list[Proxy]], wanted: list[dict] | None = None):
        self.looks, self.wanted = 0, wanted or [{"one": 5, "two": 5, "new": 5}]
        monkeypatch.setattr(istiod, "stores", lambda _: [{istiod.key(RULE): RULE["metadata"]}])
        monkeypatch.setattr(istiod, "pushes", lambda _: self.next(pushes))
        monkeypatch.setattr(istiod, "proxies", lambda _: connected[-1])
        monkeypatch.setattr(proxies, "concerned", lambda _: {"a.default"})

    def next(self, given: list):
        self.looks += 1
        wanted = self.wanted[min(self.looks, len(self.wanted)) - 1]
        return {name: Pushes(wanted[name], begun) for name, begun in given[min(self.looks, len(given)) - 1].items()}


def before(**counts: tuple[int, int]) -> converge.Before:
    """What each istiod had wanted to push before the change, and had begun."""
    return converge.Before({name: Pushes(*each) for name, each in counts.items()})


def ready(name: str, namespace: str = "default", errors: dict | None = None, gateway: bool = False) -> Proxy:
    return Proxy(name, namespace, {"Listener": "1"}, {"Listener": "0" if errors else "1"}, errors or {}, gateway)


def test_a_push_of_one_istiod_says_nothing_of_another(monkeypatch):
    """Their numbers used to be added up: one that pushed twice stood for one that had not."""
    Mesh(monkeypatch, [{"one": 1, "two": 1}, {"one": 3, "two": 1}], [[ready("a")]])
    with pytest.raises(MeshError, match="(?s)istiod to push the change: two has not begun"):
        converge.converged(LAB, before(one=(4, 1), two=(4, 1)), [RULE], [], deadline=WAIT)
    Mesh(monkeypatch, [{"one": 1, "two": 1}, {"one": 3, "two": 1}, {"one": 3, "two": 2}], [[ready("a")]])
    assert converge.converged(LAB, before(one=(4, 1), two=(4, 1)), [RULE], [], deadline=WAIT) == 1


def test_an_istiod_that_leaves_or_comes_is_not_waited_for(monkeypatch):
    """Their sum fell when one was scaled away, and was waited for in vain."""
    Mesh(monkeypatch, [{"one": 1, "two": 7}, {"one": 2}], [[ready("a")]])
    assert converge.converged(LAB, before(one=(4, 1), two=(4, 7)), [RULE], [], deadline=WAIT) == 1
    Mesh(monkeypatch, [{"one": 1}, {"one": 2, "new": 0}], [[ready("a")]])
    assert converge.converged(LAB, before(one=(4, 1)), [RULE], [], deadline=WAIT) == 1


def test_a_change_that_istiod_has_nothing_to_push_for_is_not_waited_for(monkeypatch):
    Mesh(monkeypatch, [{"one": 1}], [[ready("a")]], wanted=[{"one": 4}])
    assert converge.converged(LAB, before(one=(4, 1)), [RULE], [], deadline=3) == 1


def test_a_push_that_istiod_wants_and_does_not_begin_is_waited_for(monkeypatch):
    Mesh(monkeypatch, [{"one": 1}], [[ready("a")]], wanted=[{"one": 4}, {"one": 5}])
    with pytest.raises(MeshError, match="(?s)istiod to push the change: one has not begun"):
        converge.converged(LAB, before(one=(4, 1)), [RULE], [], deadline=3)


def test_what_another_learners_proxy_refuses_is_told_and_stops_nobody(monkeypatch):
    other = ready("b", "alice", {"Listener": "no such filter"})
    Mesh(monkeypatch, [{"one": 1}], [[ready("a"), other]])
    assert converge.settled(LAB, deadline=WAIT) == 1
    assert converge.refused_elsewhere(LAB) == ["b.alice refused Listener: no such filter"]


@pytest.mark.parametrize("proxy", [ready("a", errors={"Listener": "no"}), ready("g", "istio-system", {"Listener": "no"}, gateway=True)])
def test_what_an_own_proxy_or_a_gateway_refuses_is_raised(monkeypatch, proxy):
    Mesh(monkeypatch, [{"one": 1}], [[proxy]])
    with pytest.raises(MeshError, match=f"A proxy did not take the configuration: {proxy} refused Listener: no"):
        converge.settled(LAB, deadline=WAIT)
    assert converge.refused_elsewhere(LAB) == []
