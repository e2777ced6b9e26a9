"""Chapter 17: wrong answers and bad input, in its own run. (That it runs, and does what its record says, is in test_every_chapter.py.)"""

import pytest

from lab_helpers.chapters.c17_circuit_breaker.proxy import limits
from lab_helpers.core.errors import ManifestError
from tests.wrong_answers import before, fails

RULE = "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: ratings}\nspec:\n  host: ratings\n  trafficPolicy: "


@before('check("17.1"')
def another_limit(lab):
    fails("17.1", lab, "max_connections", sentence="max_connections is 1, so it has a bound")
    fails("17.1", lab, "max_retries", sentence="max_retries has no bound either")
    fails("17.1", lab, "http1MaxPendingRequests", sentence="no limit that is called 'http1MaxPendingRequests'")


@before('check("17.3"')
def a_counter_read_too_early(run, overflow, told):
    fails("17.3", run, overflow - 1, told, sentence="fewer than fortio's")
    fails("17.3", run, overflow, told.assign(response_flags="-"), sentence="0 requests have the flag UO")


@before('check("17.5"')
def another_pod(lab, pods):
    fails("17.5", pods, "v1", sentence="v1 still gets requests")


@before('check("17.6"')
def it_never_failed_or_still_does(lab, before, after):
    fails("17.6", before.assign(failed=0), after, sentence="nobody had failed before")
    fails("17.6", before, after.assign(left_out=after["version"] == "v4"), sentence="v4 is left out")
    fails("17.6", after, after, sentence="v4 has got no request since")


@before('lab.apply("my/breaker.yaml")')
def no_breaker_yet(lab):
    fails("17.7", lab, sentence="no limit on connections to details")


@before('lab.apply("my/breaker.yaml")')
def what_istio_refuses_and_what_it_takes_for_no_limit(lab, tmp_path):
    for policy, sentence in (
        ("{connectionPool: {tcp: {maxConnections: -1}}}", "max connections must be non-negative"),
        ("{connectionPool: {tcp: {maxConnections: lots}}}", "maxConnections is a number, without quotes"),
        ("{connectionPool: {http: {maxPending: 1}}}", "there is no field maxPending"),
        ("{connectionPool: {}}", "connection pool must have at least one field"),
        ("{outlierDetection: {maxEjectionPercent: 150}}", "percentage 150 is not in range"),
        ("{outlierDetection: {interval: 0s}}", "must be a valid duration greater than 1ms"),
    ):
        (tmp_path / "rule.yaml").write_text(RULE + policy)
        with pytest.raises(ManifestError, match=sentence):
            lab.apply(tmp_path / "rule.yaml")
    (tmp_path / "rule.yaml").write_text(RULE + "{connectionPool: {tcp: {maxConnections: 0}, http: {http1MaxPendingRequests: 0}}}")
    lab.apply(tmp_path / "rule.yaml")
    assert set(limits(lab, "ratings").values()) == {2**32 - 1}
    lab.delete(tmp_path / "rule.yaml")
