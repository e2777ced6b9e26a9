"""Every error of the course: one sentence that says what is wrong, one that says what to do.

::

    LabError
    ├── HostError      this machine cannot hold the embedded lab as it is
    ├── BuildError     a part of the lab could not be fetched, compiled or made into an image
    ├── NodeError      a component of the embedded node did not come up
    ├── ClusterError   the cluster cannot be reached, or is not one the course can use
    ├── ManifestError  a manifest is missing, malformed or refused by the API server
    ├── MeshError      the mesh did not reach the state asked for
    ├── TrafficError   requests could not be sent, or none arrived
    ├── CommandError   a command line tool exited with an error
    ├── QueryError     Prometheus, a trace store or a dashboard has no answer to what was asked
    └── CheckError     a learner's answer, or the state it led to, is not right yet
"""

from __future__ import annotations

import inspect
from collections.abc import Callable


class LabError(Exception):
    """An error that a reader can act on.

    Parameters
    ----------
    what : str
        What is wrong, as a sentence with the names and numbers at hand.
    do : str, optional
        What to do about it.

    Attributes
    ----------
    shown : bool
        Whether the reader has seen it already, in a form of its own.
    """

    shown = False

    def __init__(self, what: str, do: str = ""):
        super().__init__(what, do)
        self.what, self.do = what, do

    def __str__(self) -> str:
        return f"{self.what}\n→ {self.do}" if self.do else self.what


class HostError(LabError):
    """This machine cannot hold the embedded lab as it is."""


class BuildError(LabError):
    """A part of the lab could not be fetched, compiled or made into an image."""


class NodeError(LabError):
    """A component of the embedded node did not come up."""


class ClusterError(LabError):
    """The cluster cannot be reached, or is not one the course can use."""


class ManifestError(LabError):
    """A manifest is missing, malformed or refused by the API server."""


class MeshError(LabError):
    """The mesh did not reach the state asked for."""


class TrafficError(LabError):
    """Requests could not be sent, or none arrived."""


class CommandError(LabError):
    """A command line tool exited with an error."""


class QueryError(LabError):
    """Prometheus, a trace store or a dashboard has no answer to what was asked."""


class CheckError(LabError):
    """A learner's answer, or the state it led to, is not right yet."""


def require_fit(name: str, function: Callable, positional: tuple, named: dict, given: int = 0) -> None:
    """Refuse arguments that a function does not take, or too few of them: as Python does, and with how it is to be called.

    Parameters
    ----------
    name : str
        What it is called where it was called, such as ``lab.observe``.
    function : callable
    positional, named
        Its arguments.
    given : int
        How many of the first ones are not the caller's to give.

    Raises
    ------
    LabError
        What does not fit.
    """
    signature = inspect.signature(function)
    try:
        signature.bind(*positional, **named)
    except TypeError as error:
        shown = [str(each.replace(annotation=each.empty)) for each in list(signature.parameters.values())[given:]]
        raise LabError(f"{name} cannot be called like that: {error}.", f"It is {name}({', '.join(shown)}).") from None
