"""A pod's certificates, one after the other: by the log of its agent, which fetches them, and as a picture of their lives."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

import pandas as pd

from lab_helpers.core.errors import MeshError
from lab_helpers.core.wait import wait_until
from lab_helpers.kube import pods
from lab_helpers.show.svg import GOOD, HUES, Drawing, group, text

FETCHED = re.compile(r"^(\S+Z)\s.*generated new workload certificate\s.*\bttl=(\S+)", re.MULTILINE)
UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "µs": 1e-6, "us": 1e-6, "ns": 1e-9}
LEFT, WIDE, ROW = 60, 560, 26  # pixels
PATIENCE = 60.0  # seconds


def history(lab, app: str, at_least: int = 2) -> pd.DataFrame:
    """The certificates that the agent of a pod of `app` has fetched since it started; waits until there are so many.

    Returns
    -------
    pandas.DataFrame
        One row a certificate, in order: ``fetched``, ``expires`` (seconds since the first was fetched), ``lifetime`` (seconds),
        ``renewed_after`` (seconds until the next was fetched; NaN of the last).

    Raises
    ------
    MeshError
        It does not renew its certificate within a minute.
    TrafficError
        There is no ready pod of it with a proxy.
    """

    def enough() -> list[pd.DataFrame]:
        found = read(pods.log(lab.client, pods.require_ready(lab.client, app), "istio-proxy"))
        return [found] if len(found) >= at_least else []

    do = "Is its lifetime short enough to wait for? kubectl get pods -o yaml, under SECRET_TTL."
    return wait_until(enough, f"the agent of {app} to renew its certificate", PATIENCE, 0.3, do=do)[0]


def read(log: str) -> pd.DataFrame:
    """`history`, from what an agent has logged."""
    found = [(datetime.fromisoformat(when), seconds(ttl)) for when, ttl in FETCHED.findall(log)]
    rows = [((when - found[0][0]) / timedelta(seconds=1), ttl) for when, ttl in found]
    table = pd.DataFrame(rows, columns=["fetched", "lifetime"], dtype=float)
    table["expires"] = table["fetched"] + table["lifetime"]
    table["renewed_after"] = table["fetched"].shift(-1) - table["fetched"]
    return table[["fetched", "expires", "lifetime", "renewed_after"]]


def seconds(duration: str) -> float:
    """A duration as Go writes it, in seconds.

    Examples
    --------
    >>> seconds("23h59m59.5s")
    86399.5
    """
    return sum(float(number) * UNITS[unit] for number, unit in re.findall(r"([\d.]+)(ms|µs|us|ns|h|m|s)", duration))


def plot_lives(table: pd.DataFrame) -> Drawing:
    """Draw the life of each certificate, below each other, on one axis of time; the part in which it was the one in use is filled."""
    if table.empty:
        raise MeshError("There is no certificate to draw.", "Wait for the pod to be ready, and read them again.")
    end = table["expires"].max()
    scale = WIDE / end
    parts = []
    for row, each in enumerate(table.itertuples()):
        y, x = 14 + ROW * row, LEFT + scale * each.fetched
        used = each.renewed_after if each.renewed_after == each.renewed_after else each.lifetime
        last = each.renewed_after != each.renewed_after
        said = "still in use" if last else f"replaced after {each.renewed_after:.1f} s"
        parts.append(
            group(
                [
                    f'<rect x="{x:.1f}" y="{y - 8}" width="{scale * each.lifetime:.1f}" height="16" fill="none" stroke="{HUES[0]}"/>',
                    f'<rect x="{x:.1f}" y="{y - 8}" width="{scale * used:.1f}" height="16" fill="{GOOD if last else HUES[0]}"'
                    f' opacity="{0.35 if last else 0.85}"/>',
                    text(LEFT - 8, y, f"no. {row + 1}", "end"),
                ],
                f"certificate {row + 1}: good for {each.lifetime:.1f} s, {said}",
            )
        )
    axis = 14 + ROW * len(table)
    parts.append(f'<path d="M{LEFT} {axis}H{LEFT + WIDE}" stroke="currentColor"/>')
    step = next(each for each in (5, 10, 15, 30, 60, 300, 3600, 36000) if end / each <= 10)
    for tick in range(0, int(end) + 1, step):
        x = LEFT + scale * tick
        parts.append(f'<path d="M{x:.1f} {axis}v4" stroke="currentColor"/>{text(x, axis + 14, f"{tick} s")}')
    told = "; ".join(
        f"number {row + 1} from {each.fetched:.0f} s, good until {each.expires:.0f} s" for row, each in enumerate(table.itertuples())
    )
    return Drawing(LEFT + WIDE + 30, axis + 28, parts, f"Certificates of one pod: {told}.")
