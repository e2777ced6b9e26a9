"""Where two documents differ, field by field: no cluster."""

import pytest

from lab_helpers.core.fields import ABSENT, differences


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"a": 2}, [("a", "1", "2")]),
        ({"a": {"b": 1}}, {"a": {}}, [("a.b", "1", ABSENT)]),
        ({}, {"spec": {"x": 1, "y": 2}}, [("spec", ABSENT, '{"x": 1, "y": 2}')]),
        ({"ports": [{"name": "x", "port": 80}]}, {"ports": [{"name": "y", "port": 80}, {"name": "x", "port": 80}]},
         [("ports.y", ABSENT, '{"port": 80}')]),
        ({"list": [1, 2]}, {"list": [2, 1]}, [("list", "[1, 2]", "[2, 1]")]),
        ({"data": "a: 1\nb: 2\n"}, {"data": "a: 1\nb: 3\n"}, [("data.b", "2", "3")]),
        ({"text": "one\ntwo"}, {"text": "one\n: {"}, [("text", "one\ntwo", "one\n: {")]),
        ({"a": True}, {"a": "true"}, [("a", "True", "true")]),
    ],
)  # fmt: skip
def test_what_differs_is_named_once_and_nothing_else(before, after, found):
    assert list(differences(before, after)) == found


def test_something_big_is_told_by_what_is_in_it():
    big = {"spec": {f"field{number}": "x" * 20 for number in range(4)}}
    assert list(differences({}, big)) == [("spec", ABSENT, "{field0, field1, field2, field3}")]
    _, _, long = next(differences({}, {"spec": "y" * 99}))
    assert len(long) == 40 and long.endswith("…")
    assert list(differences({"ports": [{"a": "x" * 40}]}, {})) == [("ports", "1 items", ABSENT)]
