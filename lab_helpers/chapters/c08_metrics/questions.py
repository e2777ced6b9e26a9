"""Questions in PromQL as a learner writes them: with variables, as on Grafana's pages, and printed as they are asked."""

from __future__ import annotations

import math
import re

import pandas as pd

from lab_helpers.core.errors import QueryError
from lab_helpers.traffic import graph, prometheus
from lab_helpers.traffic.prometheus import Window

NAME = re.compile(r"\$\{(\w+)\}|\$(\w+)")


class Questions:
    """Something to ask PromQL with: call it with a query.

    Parameters
    ----------
    lab : Lab
    **variables : str
        What stands for ``$name`` in a query, such as ``mine='reporter="source"'``. Some are there already: ``$namespace``, and, of a
        window, ``$__range``, which reaches back to just before its traffic, ``$before`` and ``$after``, its instants.
    """

    def __init__(self, lab, **variables: str):
        self.lab, self.variables = lab, {"namespace": lab.namespace, **variables}

    def __call__(self, query: str, window: Window | None = None) -> pd.DataFrame:
        """Print a query with its variables filled in, and ask it; see `answer`."""
        table, asked = self._ask(query, window)
        print(asked)
        return table

    def answer(self, query: str, window: Window | None = None) -> pd.DataFrame:
        """What Prometheus says to a query.

        Parameters
        ----------
        query : str
        window : Window, optional
            Of which to tell: the query is asked for the instant at which all of the window is known. Without one, for now.

        Returns
        -------
        pandas.DataFrame
            A column for each label, and ``value``; of raw samples ``time`` as well. Of a window, ``.attrs["since"]`` says where
            ``$__range`` began, in seconds since 1970.

        Raises
        ------
        QueryError
            A variable that is not there, or what ``lab.promql`` raises.
        """
        return self._ask(query, window)[0]

    def fill(self, query: str, window: Window | None = None) -> str:
        """A query with its variables filled in."""
        return self._filled(query, self._ranges(query, window)[0])

    def _ask(self, query: str, window: Window | None) -> tuple[pd.DataFrame, str]:
        more, at = self._ranges(query, window)
        asked = self._filled(query, more)
        table = prometheus.promql(self.lab, asked, at=at)
        table = table if table["time"].nunique() > 1 else table.drop(columns="time")
        if more:
            table.attrs["since"] = at - prometheus.duration(more["__range"])
        return table, asked

    def _ranges(self, query: str, window: Window | None) -> tuple[dict[str, str], float | None]:
        """The variables of a window, and the instant for which it is asked."""
        if window is None:
            return {}, None
        at, (look, _) = self._moment(query, window), prometheus.scrape_intervals(self.lab)
        instants = {"before": f"{window.start:.3f}", "after": f"{at:.3f}"}
        return {"__range": f"{math.ceil(at - window.start + look)}s", **instants}, at

    def _filled(self, query: str, more: dict[str, str]) -> str:
        known = self.variables | more

        def value(found: re.Match) -> str:
            name = found[1] or found[2]
            if name not in known:
                there = ", ".join(f"${each}" for each in sorted(known))
                raise QueryError(
                    f"Nothing stands for ${name} in this query.",
                    f"There are {there}; $__range, $before and $after only where a window is given.",
                )
            return known[name]

        return NAME.sub(value, query).strip()

    def _moment(self, query: str, window: Window) -> float:
        window.require_end()
        return graph.timed(self.lab, window).known if "_bucket" in query else window.known
