"""Shares of traffic: those of a route, and any others."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from lab_helpers.core.errors import LabError


def validate_weights(weights: Mapping[str, int]) -> dict[str, int]:
    """Check that `weights` are percentages: Istio itself takes any whole numbers that are not all 0, and their ratio counts.

    Raises
    ------
    LabError
        None given, one not a whole number, one negative, or their sum not 100.
    """
    if weights is not None and not isinstance(weights, Mapping):
        raise LabError(f"The weights are {weights!r}, which is no dict.", "Give each version its own, such as {'v1': 90, 'v2': 10}.")
    if not weights:
        raise LabError("No weights were given.", "Give one whole number for each version, adding up to 100.")
    for name, weight in weights.items():
        if isinstance(weight, bool) or not isinstance(weight, int | np.integer):
            raise LabError(
                f"The weight of {name} is {weight!r}, which is not a whole number.",
                "Istio takes whole numbers only.",
            )
        if weight < 0:
            raise LabError(f"The weight of {name} is {weight}, which is negative.", "Use 0 for a version that should get nothing.")
    total = sum(weights.values())
    if total != 100:
        listed = " + ".join(f"{weight}" for weight in weights.values())
        raise LabError(
            f"The weights add up to {total} ({listed}), not to 100.",
            f"Take {total - 100} away." if total > 100 else f"Add {100 - total}.",
        )
    return dict(weights)


def shares(weights: Mapping[str, float]) -> dict[str, float]:
    """Weights in any unit, as parts of 1.

    Raises
    ------
    LabError
        None given, one negative, or all 0.
    """
    total = sum(weights.values())
    if total <= 0 or any(weight < 0 for weight in weights.values()):
        raise LabError(f"{dict(weights)} are not shares.", "Give one number of at least 0 for each version, not all 0.")
    return {name: weight / total for name, weight in weights.items()}
