"""Everything a learner sees in a notebook: tables, plots, pages, checks. Talks to no cluster of its own accord.

A notebook begins with ``from lab_helpers.present import ...``: that also teaches IPython to show what `mesh` returns.
"""

from lab_helpers.core.statistics import goodness_of_fit, power, rate_interval, required_n
from lab_helpers.mesh.connect import connect
from lab_helpers.present import render
from lab_helpers.present.checks import check
from lab_helpers.present.pictures import count, plot_calls, plot_shares

render.register()

__all__ = [
    "check",
    "connect",
    "count",
    "goodness_of_fit",
    "plot_calls",
    "plot_shares",
    "power",
    "rate_interval",
    "render",
    "required_n",
]
