"""Names in the namespace's policies that nobody has."""

from __future__ import annotations

import pandas as pd

from lab_helpers.istio.analysis import callers
from lab_helpers.kube import objects
from lab_helpers.kube.kinds import Kind

POLICY = Kind("security.istio.io/v1", "AuthorizationPolicy")
COLUMNS = ["policy", "field", "value", "why"]


@objects.sentences("Looking for names that nobody has")
def strangers(lab) -> pd.DataFrame:
    """Hold every caller that a policy of the namespace names against the service accounts as which pods with a proxy run.

    Returns
    -------
    pandas.DataFrame
        One row a name that is nobody's: ``policy``, ``field``, ``value``, and ``why``, with the names that it may have meant.
    """
    found = callers.strangers(lab, lab.client.list(POLICY))
    return pd.DataFrame([(each.policy.partition(" ")[2], *each[1:]) for each in found], columns=COLUMNS)
