"""What the course's verdicts about chance are worth: ``make bench PART=statistics`` prints how often each is wrong. Needs no lab.

Everything is computed exactly, from the numbers of requests that the checks and the notebooks have themselves; and held against a
million draws each. A false alarm is a run of the course on a right mesh that fails; a miss, a fault that a check names and passes.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

import nbformat
import numpy as np
from scipy import stats

from lab_helpers.chapters.c04_bookinfo import checks as c04
from lab_helpers.chapters.c09_virtual_service import checks as c09
from lab_helpers.chapters.c11_destination_rule import checks as c11
from lab_helpers.chapters.c11_destination_rule.readers import READERS
from lab_helpers.chapters.c12_traffic_shifting import checks as c12
from lab_helpers.chapters.c14_mirroring import checks as c14
from lab_helpers.chapters.c15_fault_injection import checks as c15
from lab_helpers.chapters.c16_delay_injection import checks as c16
from lab_helpers.chapters.c17_circuit_breaker import checks as c17
from lab_helpers.core.paths import ROOT
from lab_helpers.core.statistics import ALPHA, exact, power, rate_at_most, required_n

DRAWS = 1_000_000
MOST = 1 / 1000  # false alarms of the whole course


@dataclass(frozen=True)
class Verdict:
    """One verdict about chance.

    Attributes
    ----------
    name : str
        The check, or the chapter and the step.
    n : int
        Requests.
    alarm, promised_alarm : float
        How often a right mesh fails it: exactly, and at most by the text.
    fault : str
        What it has to find; empty where it only has to meet something.
    miss, promised_miss : float
        How often it does not.
    drawn : tuple of float
        Of a million draws each: upper bounds (99 %) of both rates; empty where they were not drawn.
    """

    name: str
    n: int
    alarm: float
    promised_alarm: float
    fault: str = ""
    miss: float = 0.0
    promised_miss: float = 0.0
    drawn: tuple[float, ...] = ()

    @property
    def kept(self) -> bool:
        """Whether neither rate is above what the text promises."""
        return self.alarm <= self.promised_alarm and self.miss <= self.promised_miss


def sent(stem: str, pattern: str) -> int:
    """The number of requests in a cell of a notebook, so that nothing here stays behind when it changes there.

    Raises
    ------
    LookupError
        No such cell.
    """
    cells = nbformat.read(ROOT / "notebooks" / f"{stem}.ipynb", as_version=4).cells
    found = re.search(pattern, "\n".join(cell.source for cell in cells if cell.cell_type == "code"), flags=re.MULTILINE)
    if found is None:
        raise LookupError(f"{stem} has no cell with {pattern}")
    return int(found[1])


def shares(name: str, right: dict, fault: dict | None, n: int, miss: float = 0.0) -> Verdict:
    """A chi-square test of `n` requests."""
    alarm, missed = power(n, right, right), 1 - power(n, right, fault) if fault else 0.0
    told = " : ".join(map(str, fault.values())) if fault else ""
    return Verdict(name, n, alarm, ALPHA, told, missed, miss, drawn(n, right, fault))


def drawn(n: int, right: dict, fault: dict | None) -> tuple[float, ...]:
    """Upper bounds of both rates, by draws that have nothing to do with how the exact ones are computed."""
    wanted, rng = np.array([*right.values()]) / sum(right.values()), np.random.default_rng(2026)
    limit, bounds = exact.critical(n, tuple(wanted.tolist()), ALPHA), []
    for mesh, wrong_is in ((right, True), (fault, False)):
        if mesh is None:
            continue
        counts = rng.multinomial(n, np.array([*mesh.values()]) / sum(mesh.values()), size=DRAWS)
        accused = int((((counts - n * wanted) ** 2 / (n * wanted)).sum(axis=1) > limit).sum())
        bounds.append(rate_at_most(accused if wrong_is else DRAWS - accused, DRAWS))
    return tuple(bounds)


def all_met(n: int, chances: list[float]) -> float:
    """Probability that `n` requests do not meet every one of some things that each request meets with these chances, one at most."""
    total = 0.0
    for chosen in range(1, 2 ** len(chances)):
        some = [chance for at, chance in enumerate(chances) if chosen >> at & 1]
        total -= (-1) ** len(some) * (1 - sum(some)) ** n
    return total


def verdicts() -> list[Verdict]:
    """Every verdict about chance that the course reaches in a run."""
    third, designed = 1 / 3, c12.FAULTS
    n = {name: required_n(right, designed[name], wanted_power=c12.POWER) for name, right in
         (("12.3", c12.WEIGHTS), ("12.4", c12.RATIO), ("12.6", c12.BLACK_STARS))}  # fmt: skip
    equal = required_n(c04.THIRDS, c04.FAULT, ALPHA, c04.POWER)
    faces = sent("04_bookinfo", r"for _ in range\((\d+)\)\]")
    turns = 300
    two, five = {"v1": 98, "v3": 2}, {"v1": 95, "v3": 5}
    rare = required_n(five, two, wanted_power=c12.POWER)
    slider = sent("12_traffic_shifting", r"rehearse\(lab, \"reviews\", settings, n=(\d+)\)")
    names = sent("12_traffic_shifting", r"seen = lab.observe\(\"reviews\", n=(\d+)\)")
    leak = {"v1": 977, "others": 23}
    return [
        Verdict("04.2 three faces", faces, all_met(faces, [third] * 3), 1 / 60_000),
        shares("04.4 equal thirds", c04.THIRDS, c04.FAULT, equal, 1 - c04.POWER),
        Verdict("04.5 round robin", turns, 0.0, 0.0, "drawn", stats.binom.sf(_most_in_turn(turns), turns - 3, third), ALPHA),
        shares("12 step 1, names move nobody", c12_thirds(), None, names),
        Verdict("12.2 all to v1", c12.SEEN_ALL, 0.0, 0.0, "2.3 % leak", 1 - power(c12.SEEN_ALL, {"v1": 1}, leak), 0.01),
        shares("12.3 15 : 25 : 60", c12.WEIGHTS, designed["12.3"], n["12.3"], 1 - c12.POWER),
        shares("12.4 1 : 3", c12.RATIO, designed["12.4"], n["12.4"], 1 - c12.POWER),
        shares("12 step 9, 98 : 2", two, None, rare),
        shares("12 step 9, 95 : 5", five, two, rare, 1 - c12.POWER),
        shares("12 widget, 90 : 10", {"v1": 90, "v3": 10}, None, slider),
        shares("12 widget, 15 : 25 : 60", c12.WEIGHTS, None, slider),
        shares("12.6 80 : 20", c12.BLACK_STARS, designed["12.6"], n["12.6"], 1 - c12.POWER),
        *meetings(),
        *traffic(),
    ]


def c12_thirds() -> dict[str, int]:
    return dict.fromkeys(("v1", "v2", "v3"), 1)


def _most_in_turn(n: int) -> int:
    """The most repetitions that are not yet taken for turns."""
    return int(stats.binom.isf(ALPHA, n - 3, 1 / 3))


def meetings() -> list[Verdict]:
    """Steps that need each version, or some failure, to have had its turn among pages that are drawn."""
    third, graph, tracing = 1 / 3, "06_mesh_graph", "07_tracing"
    pages = r"lab.observe\(\"productpage\", n={}, via=\"gateway\"\)"
    whole = sent(graph, r"^n = (\d+)$")
    failing = sent(graph, r"as failing:\n\s*pages = " + pages.format(r"(\d+)"))
    first = sent(tracing, pages.format(r"(\d+)"))
    stars = 2 * third
    return [
        Verdict("06.1 seven edges", whole, all_met(whole, [third] * 3), ALPHA),
        Verdict("06.5 half of the calls to ratings fail", failing, (1 - stars / 2) ** failing, ALPHA),
        Verdict("07.1 a page with stars", first, (1 - stars) ** first, ALPHA),
    ]


def traffic() -> list[Verdict]:
    """The verdicts of chapters 09 to 17."""
    third, lots = 1 / 3, sent("13_ab_testing", r"newcomers\(lab, number=(\d+)")
    turns = required_n(c11.THIRDS, c11.ONE_FAVOURED, wanted_power=c11.POWER)
    busy = sent("11_destination_rule", r"^many, under = (\d+)")
    visits = len(READERS) * sent("11_destination_rule", r"visits = by_reader\(lab, named, n=(\d\d+)\)")
    low, high = (edge * c09.ENOUGH for edge in c09.HALF)
    read, late = sent("15_fault_injection", r"read = pages\(lab, n=(\d+)\)"), sent("16_delay_injection", r"read = pages\(lab, n=(\d+)")
    fields = sent("16_delay_injection", r"seen = lab.observe\(\"details\", n=(\d+), parallel=10\)")
    aborted = required_n(c15.ASKED, c15.FAULTS["15.1"], wanted_power=c15.POWER)
    retried = required_n(c15.ABOVE, c15.FAULTS["15.7"], wanted_power=c15.POWER)
    copies = [(number, wanted, required_n(wanted, c14.FAULTS[number], wanted_power=c14.POWER))
              for number, wanted in (("14.5", c14.QUARTER), ("14.7", c14.HALF))]  # fmt: skip
    asking = required_n(c15.ASKED, c15.FAULTS["15.2"], wanted_power=c15.POWER)
    return [
        Verdict("09.4 half without retries", c09.ENOUGH, 2 * stats.binom.cdf(low - 1, c09.ENOUGH, 0.5), 1e-7),
        Verdict("09.4 next to none with them", c09.ENOUGH, stats.binom.sf(c09.MOST, c09.ENOUGH, 1 / 2000), 1e-7),
        shares("11.3 RANDOM, thirds", c11.THIRDS, c11.ONE_FAVOURED, turns, 1 - c11.POWER),
        Verdict("11.3 RANDOM, as if in turn", turns, c11.TURNS, c11.TURNS),
        shares("11.4 RANDOM, thirds", c11.THIRDS, c11.ONE_FAVOURED, busy, 1 - c11.POWER),
        Verdict("11.5 readers all at one pod", len(READERS), 3 * third ** len(READERS), ALPHA),
        shares("11.6 halves", c11.HALVES, c11.UNEVEN, visits, 1 - c11.POWER),
        Verdict("11.9 readers all at one pod", len(READERS), 3 * third ** len(READERS), ALPHA),
        Verdict("13.5 all in one group", lots, 2 * 0.5**lots, ALPHA),
        *(shares(f"{number} copies", wanted, c14.FAULTS[number], n, 1 - c14.POWER) for number, wanted, n in copies),
        shares("15.1 30 of 100", c15.ASKED, c15.FAULTS["15.1"], aborted, 1 - c15.POWER),
        Verdict("15.2 pages that ask for ratings", read, stats.binom.cdf(asking - 1, read, 2 * third), ALPHA),
        shares("15.2 pages without stars", c15.ASKED, c15.FAULTS["15.2"], asking, 1 - c15.POWER),
        shares("15.5 30 of 100, for one user", c15.ASKED, c15.FAULTS["15.5"], c15.UNTOUCHED, 1 - c15.POWER),
        shares("15.7 beside", c15.BESIDE, c15.FAULTS["15.7"], retried, 1 - c15.POWER),
        shares("15.7 above", c15.ABOVE, c15.FAULTS["15.7"], retried, 1 - c15.POWER),
        Verdict("15.8 three faces", c15.PAGES, all_met(c15.PAGES, [third] * 3), ALPHA),
        shares("16.1 half late", c16.HALF, c16.FAULTS["16.1"], late, 1 - c16.POWER),
        shares("16.2 half late", c16.HALF, c16.FAULTS["16.2"], late, 1 - c16.POWER),
        shares("16.3 a fifth late", c16.FIFTH, c16.FAULTS["16.3"], fields, 1 - c16.POWER),
        Verdict("16.6 three faces", c16.PAGES, all_met(c16.PAGES, [third] * 3), ALPHA),
        Verdict("17.2 the curve, at most", 72, 4 * (1 - c17.CONFIDENCE), 4 * (1 - c17.CONFIDENCE)),
    ]  # fmt: skip


def main() -> None:
    """Print each verdict's rates beside what is promised, and what they come to for the course."""
    began, found = time.monotonic(), verdicts()
    print(
        f"{'verdict':40}{'n':>7}  {'false alarms':>12}{'promised':>10}{'drawn ≤':>10}  {'misses':>10}{'promised':>10}{'drawn ≤':>10}  fault"
    )
    for each in found:
        bounds = [f"{bound:.1e}" for bound in each.drawn] + ["", ""]
        line = f"{each.name:40}{each.n:7,}  {each.alarm:12.2e}{each.promised_alarm:10.1e}{bounds[0]:>10}  "
        line += f"{each.miss:10.2e}{each.promised_miss:10.1e}{bounds[1]:>10}  {each.fault}" if each.fault else ""
        print(f"{line}{'' if each.kept else '  NOT KEPT'}")
    total = sum(each.alarm for each in found)
    verdict = "kept" if total < MOST and all(each.kept for each in found) else "NOT KEPT"
    print(f"false alarms of the whole course: {total:.1e} a run, one in {1 / total:,.0f}; promised: {MOST:g}. All promises: {verdict}.")
    print(f"{DRAWS:,} draws each, {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
