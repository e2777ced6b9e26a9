"""The slider of this chapter: how many of Bookinfo's services are opened, one policy each, and what a reader sees of the page."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pandas as pd

from lab_helpers.core.errors import MeshError
from lab_helpers.core.manifests import FOLDER, load
from lab_helpers.core.wait import wait_until
from lab_helpers.istio import apply
from lab_helpers.kube.kinds import Kind
from lab_helpers.show.living.knob import Step
from lab_helpers.show.svg import BAD, GOOD, Drawing, group, text
from lab_helpers.traffic import pages

CLOSED = "19_access_control/01-allow-nothing.yaml"
OPENED = ("19_access_control/03-allow-productpage.yaml", "19_access_control/04-allow-the-rest.yaml")
SERVICES = ("productpage", "details", "reviews", "ratings")
IN_A_ROW = 24  # pages that are alike, one after the other: the gateway has no old connection left
N, BATCH = 16, 8  # pages: all three versions of reviews take turns
PLACES = {"productpage": (120, 66), "details": (300, 26), "reviews": (300, 106), "ratings": (440, 106)}
CALLS = (("reader", "productpage"), ("productpage", "details"), ("productpage", "reviews"), ("reviews", "ratings"))
WIDE, HIGH = 96, 30  # pixels: of a box
UNKNOWN = "#888888"


def follow(lab, value: int, stopped: Callable[[], bool] = lambda: False) -> Iterator[Step]:
    """Close the namespace but for the first `value` services, read some pages, and tell what is on them.

    Raises
    ------
    MeshError
        Another policy is there, too.
    """
    policies = opened()
    _only_ours(lab, [closed(), *policies])
    wanted, rest = policies[:value], policies[value:]
    apply.write(lab, [closed(), *wanted], f"kubectl apply --server-side -f - <<< '{json.dumps(wanted)}'")
    apply.erase(lab, rest)
    read = pd.DataFrame()
    while len(read) < N and not stopped():
        read = pd.concat([read, pages.read(lab, BATCH)], ignore_index=True)
        yield Step(picture(read, value), sentence(read, value), done=len(read), of=N)


def until_all(lab, status: int) -> list[int]:
    """Read one page after the other until two dozen of them in a row have `status`; what each of them had.

    A connection that the gateway had open before a policy came, or went, lives by the old rules, until it is closed after its next answer.

    Raises
    ------
    MeshError
        Some have another one for a minute.
    """
    statuses: list[int] = []

    def all_have() -> bool:
        statuses.extend(int(each) for each in pages.read(lab, 4, parallel=1)["status"])
        return len(statuses) >= IN_A_ROW and set(statuses[-IN_A_ROW:]) == {status}

    late = lambda: f"Of {len(statuses)}, {sum(each != status for each in statuses)} had another; the last one {statuses[-1]}."  # noqa: E731
    do = "Which policies are there, and is Bookinfo well? kubectl get authorizationpolicies,pods."
    wait_until(all_have, f"every page to be {status}", 60, 0.1, late, do=do)
    return statuses


def closed() -> dict:
    """The chapter's policy that allows nothing."""
    return load(CLOSED, FOLDER)[0]


def opened() -> list[dict]:
    """The chapter's policies that open a service each, in the order of `SERVICES`."""
    return [document for name in OPENED for document in load(name, FOLDER)]


def parts(read: pd.DataFrame) -> dict[str, float]:
    """What share of pages had what each service gives: the page, the book's details, reviews, and (of those by v2 and v3) stars.

    NaN for the stars where no page had reviews that show any.
    """
    asking = read[read["version"].isin(["v2", "v3"])]
    return {
        "productpage": (read["status"] == 200).mean(),
        "details": read["details"].mean(),
        "reviews": read["version"].notna().mean(),
        "ratings": (asking["ratings"] == "stars").mean() if len(asking) else float("nan"),
    }


def sentence(read: pd.DataFrame, value: int) -> str:
    """The same in words."""
    seen = parts(read)
    names = {"productpage": "page", "details": "details", "reviews": "reviews", "ratings": "stars"}
    there = [names[each] for each, share in seen.items() if share == 1]
    some = [names[each] for each, share in seen.items() if 0 < share < 1]
    whose = f"{', '.join(SERVICES[:value])} may be asked" if value else "nobody may be asked"
    told = ", ".join(there) or "nothing"
    told += f"; on some {', '.join(some)}" if some else ""
    return f"{len(read)} of {N} pages read; {whose}. Status {', '.join(map(str, sorted(set(read['status']))))}; what they have: {told}."


def picture(read: pd.DataFrame, value: int) -> Drawing:
    """Who calls whom, green where it came through to the page, red where it was turned away, grey where nobody got so far."""
    seen = parts(read)
    drawn = [text(30, PLACES["productpage"][1], "reader")]
    for caller, called in CALLS:
        x, y = PLACES[called]
        before = (PLACES[caller][0] + WIDE / 2, PLACES[caller][1]) if caller in PLACES else (52, y)
        line = f"M{before[0]:.0f},{before[1]} L{x - WIDE / 2:.0f},{y}"
        drawn.append(f'<path d="{line}" stroke="{_colour(seen[called])}" stroke-width="2" fill="none"/>')
    for name, (x, y) in PLACES.items():
        colour, word = _colour(seen[name]), _word(seen[name])
        frame = f'<rect x="{x - WIDE / 2:.0f}" y="{y - HIGH / 2:.0f}" width="{WIDE}" height="{HIGH}" rx="6" fill="{colour}"'
        frame += f' fill-opacity=".12" stroke="{colour}" stroke-width="1.6"/>'
        drawn.append(group([frame, text(x, y, name), text(x, y + HIGH / 2 + 10, word, colour=colour)], f"{name}: {word}"))
    return Drawing(500, 142, drawn, sentence(read, value))


def _colour(share: float) -> str:
    return UNKNOWN if share != share else GOOD if share == 1 else BAD


def _word(share: float) -> str:
    if share != share:
        return "not asked"
    return "on the page" if share == 1 else "missing" if share == 0 else "on some pages"


def _only_ours(lab, ours: list[dict]) -> None:
    names = {each["metadata"]["name"] for each in ours}
    for other in sorted({each["metadata"]["name"] for each in lab.client.list(Kind.of(ours[0]))} - names):
        raise MeshError(
            f"AuthorizationPolicy {other} is there, too, and decides as well.", f"Delete it: kubectl delete authorizationpolicy {other}."
        )
