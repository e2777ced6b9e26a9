"""What a record shows as seen is what its text goes on from: made of the wrong output, it would contradict the cells around it."""

import re
from pathlib import Path

import nbformat
import pytest

from lab_helpers.lab import chapters

ROOT = Path(__file__).parents[2]
RESOLVED = re.compile(r"(\d\d\.[a-z]) predicted: .*; seen: (.*)")
# Numbers without what they count. Read in the text, not taken from a record.
SEEN = {
    "01.a": "6",
    "01.c": "all of it, name and password included",
    "01.d": "ratings, and nobody objects",
    "01.e": "what was asked",
    "01.f": "yes, as before",
    "01.g": "1",
    "01.h": "yes: it may read",
    "01.i": "nothing",
    "01.j": "details",
    "01.k": "all calls but those of plain-client",
    "02.b": "several, one after the other",
    "02.c": "by the cluster",
    "02.f": "none",
    "03.a": "istioctl, istiod and the proxies",
    "03.b": "that there is no such command",
    "03.c": "requests: it asks for less CPU and memory",
    "03.d": "no pod",
    "03.e": "a pod without a sidecar",
    "03.f": "calls, but not the page",
    "03.g": "all, by themselves",
    "03.h": "0",
    "03.i": "only in your own",
    "04.a": "a page, with status 200",
    "04.b": "2",
    "04.c": "the stars beside the reviews",
    "04.d": "404: no route leads there",
    "04.e": "v2 and v3",
    "04.f": "at random, a third each",
    "04.g": "v1 gets more",
    "04.h": "all to one version",
    "05.a": "a remark, and an empty list",
    "05.b": "its probe is changed",
    "05.c": "1",
    "05.e": "nothing",
    "05.f": "the namespace",
    "05.g": "Envoy's",
    "05.h": "neither",
    "05.i": "nothing is wrong",
    "06.a": "nothing at all",
    "06.b": "7",
    "06.c": "all but one into productpage",
    "06.d": "nowhere",
    "06.e": "unknown",
    "06.f": "only those into ratings",
    "06.g": "to details-v1, the workload",
    "07.a": "9",
    "07.b": "pages that came back with 200",
    "07.c": "not at all",
    "07.d": "productpage",
    "07.e": "only the client span of reviews",
    "07.f": "nothing",
    "07.g": "all of them, whole",
    "08.a": "in one for each combination of version and code",
    "08.c": "yes, to the tenth of a percent",
    "08.d": "empty, as for the code that nobody had",
    "08.e": "not so near, but into the same bucket or the next",
    "08.f": "80",
    "08.g": "120",
    "09.a": "neither",
    "09.b": "404",
    "09.c": "3",
    "09.d": "of /nothing the proxy, of /staticx productpage",
    "09.e": "it is refused",
    "09.f": "no: its answers still have it",
    "09.g": "none, or next to none",
    "09.h": "1",
    "09.i": "4",
    "09.j": "4",
    "09.k": "never",
    "09.l": "504, after half a second",
    "09.m": "1",
    "09.n": "2",
    "09.o": "//get",
    "09.p": "/shop-old: a 404 from httpbin",
    "09.q": "/get: 404",
    "09.r": "only the older one holds",
    "10.a": "no connection",
    "10.b": "404",
    "10.c": "404",
    "10.d": "200: the index page",
    "10.e": "it is refused",
    "10.f": "www.bookinfo.example and a.b.bookinfo.example",
    "10.g": "the neighbour's answer and 404: the name is theirs",
    "10.h": "to https://www.bookinfo.example:30080/",
    "10.i": "no TLS connection",
    "10.j": "404",
    "10.k": "3",
    "10.l": "the older Gateway's",
    "11.a": "4",
    "11.b": "503: there is nobody to ask",
    "11.c": "503 again",
    "11.d": "in turn: each follows the same one every time",
    "11.e": "no",
    "11.f": "a third, like everybody",
    "11.h": "gets any pod, each time anew",
    "11.j": "two: the weights decide",
    "11.k": "10 s: the default",
    "11.l": "no: they are drawn, as the host says",
    "11.m": "no",
    "11.n": "they arrive, in plain text",
    "12.a": "no: the three versions share it as before",
    "12.b": "0",
    "12.c": "no: each version gets its weight",
    "12.d": "4",
    "12.e": "81",
    "12.f": "about 1 in 10",
    "12.g": "v1 gets a quarter, v3 three quarters",
    "12.h": "it fails",
    "12.j": "more than five times as many",
    "13.a": "red",
    "13.b": "those of v2: the rule never sees it",
    "13.c": "v3: this one is carried on",
    "13.d": "no: it gets v2",
    "13.e": "both versions: the hash does not decide that",
    "13.f": "0",
    "13.g": "v2",
    "13.h": "an error: 403",
    "14.a": "v2's, all of them",
    "14.b": "0",
    "14.c": "2",
    "14.d": "reviews:9080",
    "14.e": "4",
    "14.f": "nothing",
    "14.g": "200 for everybody",
    "15.b": "200: the page is there",
    "15.c": "to ratings, the Service",
    "15.d": "no: a 403 is no failure to a proxy",
    "15.e": "of the policy only",
    "15.f": "only who has logged in",
    "15.g": "no request is aborted",
    "15.i": "50: the retries change nothing",
    "15.j": "12 or 13: all three tries have to fail",
    "16.b": "everything but the details",
    "16.c": "the program's: productpage hung up",
    "16.d": "half of them take two seconds and have their details",
    "16.f": "none",
    "16.g": "six seconds, without reviews",
    "16.h": "no: one of them has more patience",
    "16.i": "200 after two seconds",
    "16.j": "one second: productpage asks reviews twice",
    "17.a": "about 8",
    "17.b": "none",
    "17.c": "yes: more than three requests are under way",
    "17.d": "3",
    "17.e": "they are equal",
    "17.f": "none",
    "17.g": "no: some come from the server proxy",
    "17.h": "it stays, and goes on failing",
    "17.j": "it gets requests again, and fails some",
    "17.k": "none",
    "19.a": "403, and it is the proxy of productpage that says so",
    "19.b": "yes, a few, and then no more",
    "19.c": "200: a page that makes excuses",
    "19.d": "403",
    "19.e": "an excuse",
    "19.f": "200: the other policy still allows it",
    "19.g": "it is refused",
    "19.h": "200",
    "19.i": "2",
    "19.j": "8",
}
# The text names no answer: it depends on the cluster, on the machine, or on chance.
OPEN = {"01.b", "02.a", "02.d", "02.e", "05.d", "08.b", "11.g", "11.i", "12.i", "15.a", "15.h", "16.a", "16.e", "17.i"}


def recorded(cells) -> dict[str, str]:
    """What the outputs of a notebook's cells show as seen, by prediction."""
    texts = [output.get("data", {}).get("text/plain", "") for cell in cells for output in cell.get("outputs", [])]
    return dict(found.groups() for each in texts if (found := RESOLVED.match(each)))


def contradicted(found: dict[str, str]) -> dict[str, str]:
    """What was seen, where the text goes on from something else, or where nobody has said from what."""
    return {
        name: seen
        for name, seen in found.items()
        if name not in OPEN and not (name in SEEN and re.match(re.escape(SEEN[name]) + r"( |$)", seen))
    }


@pytest.mark.parametrize("stem", chapters.stems())
def test_what_is_recorded_as_seen_is_what_the_text_goes_on_from(stem):
    cells = nbformat.read(ROOT / "notebooks" / f"{stem}.ipynb", as_version=4).cells
    found, asked = recorded(cells), re.findall(r'predict\(\s*"(\d\d\.[a-z])"', "\n".join(cell.source for cell in cells))
    assert found and sorted(found) == sorted(asked), "each is resolved in the record"
    assert contradicted(found) == {}


def test_another_value_and_an_unknown_prediction_are_found():
    assert contradicted({"05.c": "10 of four pods", "05.i": "that there is no such revision", "99.a": "no", "05.d": "3 lines"}) == {
        "05.c": "10 of four pods", "05.i": "that there is no such revision", "99.a": "no",
    }  # fmt: skip
    assert contradicted({"05.c": "1 of four pods", "03.d": "no pod"}) == {}
