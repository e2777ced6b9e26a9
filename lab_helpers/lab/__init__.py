"""Everything a learner sees in a notebook: tables, plots, pages, checks. Talks to no cluster of its own accord.

A notebook begins with ``from lab_helpers.present import ...``: that also teaches IPython to show what `mesh` returns.
"""

from lab_helpers.core.errors import LabError
from lab_helpers.core.statistics import failure_rate, goodness_of_fit, power, rate_interval, required_n, within_points
from lab_helpers.mesh.connect import connect
from lab_helpers.mesh.injection import changed, dry_run, line_by_line, redirection, verdicts
from lab_helpers.mesh.installation import keep, restore
from lab_helpers.mesh.profiles import compare_profiles, dump, profiles
from lab_helpers.mesh.traces import own_time
from lab_helpers.present import render
from lab_helpers.present.checks import check
from lab_helpers.present.drawings import draw_services
from lab_helpers.present.mesh_graph import plot_graph
from lab_helpers.present.pictures import count, plot_calls, plot_shares
from lab_helpers.present.scaling import plot_scaling
from lab_helpers.present.shifting import TrafficShifting, rehearse
from lab_helpers.present.waterfall import plot_trace

render.register()

__all__ = [
    "LabError",
    "TrafficShifting",
    "changed",
    "check",
    "compare_profiles",
    "connect",
    "count",
    "draw_services",
    "dry_run",
    "dump",
    "failure_rate",
    "goodness_of_fit",
    "keep",
    "line_by_line",
    "own_time",
    "plot_calls",
    "plot_graph",
    "plot_scaling",
    "plot_shares",
    "plot_trace",
    "power",
    "profiles",
    "rate_interval",
    "redirection",
    "rehearse",
    "render",
    "required_n",
    "restore",
    "verdicts",
    "within_points",
]
