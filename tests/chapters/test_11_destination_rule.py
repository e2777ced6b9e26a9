"""Chapter 11: wrong answers and bad input, in its own run. (That it runs, and does what its record says, is in test_every_chapter.py.)"""

import pytest

from lab_helpers.chapters.c11_destination_rule import clusters
from lab_helpers.core.errors import ManifestError
from tests.wrong_answers import before, fails


def manifest(folder, spec: str, kind: str = "DestinationRule", name: str = "reviews") -> str:
    path = folder / f"{name}-{kind}.yaml"
    path.write_text(f"apiVersion: networking.istio.io/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {spec}\n")
    return str(path)


def said(outcome) -> str:
    return "\n".join(warning for change in outcome.changes for warning in change.warnings)


@before('lab.apply("11_destination_rule/01-subsets.yaml")')
def names_and_labels_that_do_not_fit(lab, tmp_path):
    fails("11.1", clusters(lab, "reviews"), sentence="knows no subset of reviews")
    two = "{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}"
    lab.apply(manifest(tmp_path, f"{{host: reviews, subsets: [{two}]}}"))
    fails("11.1", clusters(lab, "reviews"), sentence="no subset is called v3")
    told = lab.apply(manifest(tmp_path, f"{{host: reviews, subsets: [{two}, {{name: v3, labels: {{version: v33}}}}]}}"))
    assert "[IST0173]" in said(told)
    fails("11.1", clusters(lab, "reviews"), sentence="subset v3 has no pod")
    lab.apply(manifest(tmp_path, f"{{host: reviews, subsets: [{two}, {{name: v3, labels: {{app: reviews}}}}]}}"))
    fails("11.1", clusters(lab, "reviews"), sentence="subset v3 leads to reviews-v1, reviews-v2, reviews-v3")
    lab.delete(manifest(tmp_path, "{host: reviews}"))


@before('lab.apply("11_destination_rule/01-subsets.yaml")')
def what_istio_refuses_is_refused_in_its_words(lab, tmp_path):
    """And the mesh stays as it was."""
    by = "{{host: reviews, trafficPolicy: {{loadBalancer: {}}}}}"
    for spec, sentence in {
        "{host: reviews, subsets: [{name: v1, labels: {version: v1}}, {name: v1, labels: {version: v2}}]}": "duplicate subset names: v1",
        "{host: reviews, subsets: [{name: re_d, labels: {version: v3}}]}": "subset name is invalid: re_d",
        "{subsets: [{name: v1, labels: {version: v1}}]}": "host",
        by.format("{simple: ROUNDROBIN}"): "ROUNDROBIN",
        by.format("{consistentHash: {httpCookie: {name: ''}}}"): "name required for HttpCookie",
        by.format("{consistentHash: {httpHeaderName: a, useSourceIp: true}}"): "consistentHash|oneOf|oneof",
        by.format("{consistentHash: {httpHeaderName: a, maglev: {tableSize: 1000}}}"): "tableSize must be a prime number",
        by.format("{simple: RANDOM, consistentHash: {httpHeaderName: a}}"): "loadBalancer|oneOf|oneof",
        "{host: reviews, trafficPolicy: {portLevelSettings: [{port: {number: 9080}}]}}": "port traffic policy must have at least one field",
        "{host: reviews, trafficPolicy: {connectionPool: {tcp: {connectTimeout: -1s}}}}": "duration|connect",
    }.items():
        with pytest.raises(ManifestError, match=sentence):
            lab.apply(manifest(tmp_path, spec))
    assert set(clusters(lab, "reviews").rule) == {""}


@before('lab.delete("11_destination_rule/15-a-letter-short.yaml")')
def what_istio_accepts_is_warned_of(lab, tmp_path):
    told = lab.apply(manifest(tmp_path, "{host: review}"))
    assert "[IST0174]" in said(told) and set(clusters(lab, "reviews").rule) == {""}
    route = "{hosts: [reviews], http: [{route: [{destination: {host: reviews, subset: red}}]}]}"
    assert "[IST0101]" in said(lab.apply(manifest(tmp_path, route, "VirtualService")))
    nobody = "{hosts: [reviews], http: [{route: [{destination: {host: review}}]}]}"
    assert "[IST0101]" in said(lab.apply(manifest(tmp_path, nobody, "VirtualService")))
    lab.delete(manifest(tmp_path, nobody, "VirtualService"), manifest(tmp_path, "{host: reviews}"))


@before('lab.apply("my/by-name.yaml")')
def other_ways_to_tell_readers_apart(lab, tmp_path):
    fails("11.9", lab, sentence="there is no DestinationRule in the namespace")
    by = "{{host: {}, trafficPolicy: {{loadBalancer: {}}}}}"
    for spec in (
        by.format("reviews", "{simple: ROUND_ROBIN}"),
        by.format("reviews", "{consistentHash: {httpQueryParameterName: name}}"),
        by.format("reviews", "{consistentHash: {httpHeaderName: reader}}"),
        by.format("ratings", "{consistentHash: {httpQueryParameterName: reader}}"),
    ):
        lab.apply(manifest(tmp_path, spec))
        fails("11.9", lab, sentence="met [23] versions")
    lab.apply(manifest(tmp_path, by.format("reviews", "{consistentHash: {useSourceIp: true}}")))
    fails("11.9", lab, sentence="all of them met v[123]")
    lab.delete(manifest(tmp_path, "{host: reviews}"))
