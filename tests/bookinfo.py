"""Bookinfo's pages, answers and calls as values at hand, for tests without a cluster."""

import pandas as pd

from lab_helpers.chapters.c04_bookinfo.checks import CALLS, STARS
from lab_helpers.istio.gateway import Page


def page(version, stars=None, status=200):
    stars = stars or STARS[version]
    star = '<div class="text-{}-500">\n <svg id="glyphicon glyphicon-star"></svg></div>'
    shown = "" if stars == "none" else star.format(stars)
    text = f"<body><script>alert(1)</script><h1>x</h1>{shown}Reviews served by: reviews-{version}-abc</body>"
    return Page("http://192.0.2.1/productpage", status, {"content-type": "text/html"}, text, f"reviews-{version}-abc", version)


def seen(v1, v2, v3, status=200):
    rows = [{"version": name, "status": status} for name, n in (("v1", v1), ("v2", v2), ("v3", v3)) for _ in range(n)]
    return pd.DataFrame(rows, columns=["version", "status"])


def calls(edges=CALLS):
    return pd.DataFrame(
        [(source, destination, 7) for source, destination in sorted(edges)],
        columns=["source", "destination", "requests"],
    )
