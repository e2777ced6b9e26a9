"""The variables of a dashboard: what each may be, what it is, and PromQL with them filled in."""

from __future__ import annotations

import re

from lab_helpers.core.errors import QueryError
from lab_helpers.traffic import prometheus

EVERYTHING = '{__name__!=""}'


class Variables:
    """A dashboard's variables, each chosen by the user, by the dashboard's author, or by what there is.

    Parameters
    ----------
    lab : Lab
    model : dict
        The dashboard.
    given : dict of str to str or list of str
        What the user has chosen.
    at : float
        The instant at which Prometheus is asked what there is.
    builtin : dict of str to str
        Grafana's own, such as ``__rate_interval``.

    Raises
    ------
    QueryError
        No such variable, no such choice, or a variable that only Grafana can fill.
    """

    def __init__(self, lab, model: dict, given: dict, at: float, builtin: dict[str, str]):
        self.chosen: dict[str, str | list[str]] = {}
        self.choices: dict[str, list[str]] = {}
        self._text = dict(builtin)
        listed = [each for each in model.get("templating", {}).get("list", []) if each["type"] != "datasource"]
        unknown = sorted(set(given) - {each["name"] for each in listed})
        if unknown:
            names = ", ".join(each["name"] for each in listed) or "none"
            raise QueryError(f"The dashboard {model['title']} has no variable {unknown[0]!r}.", f"It has: {names}.")
        for each in listed:
            self._choose(lab, each, given, at)

    def fill(self, text: str | None) -> str:
        """`text` with ``$name``, ``${name}`` and ``[[name]]`` replaced; what is unknown stays."""
        value = lambda found: self._text.get(found[1] or found[2] or found[3], found[0])  # noqa: E731
        return re.sub(r"\$\{(\w+)(?::\w+)?\}|\$(\w+)|\[\[(\w+)\]\]", value, text or "")

    def _choose(self, lab, variable: dict, given: dict, at: float) -> None:
        name, choices = variable["name"], self._there(lab, variable, at)
        default = variable.get("current", {}).get("value")
        if default in ("$__all", ["$__all"]) or (default is None and variable.get("includeAll")):
            default = choices
        chosen = given.get(name, default)
        wrong = [each for each in ([chosen] if isinstance(chosen, str) else chosen or []) if each not in choices]
        if name in given and wrong:
            shown = ", ".join(choices[:20]) + (" …" if len(choices) > 20 else "") or "none: was there any traffic?"
            raise QueryError(f"There is no {name} {wrong[0]!r} to choose.", f"Prometheus knows: {shown}.")
        if wrong or not chosen:
            chosen = choices[0] if choices else ""
        self.chosen[name], self.choices[name] = chosen, choices
        many = variable.get("multi") or variable.get("includeAll")
        self._text[name] = _in_string(_as_regex(chosen) if many else str(chosen))

    def _there(self, lab, variable: dict, at: float) -> list[str]:
        query = variable["query"]["query"] if isinstance(variable["query"], dict) else variable["query"]
        if variable["type"] == "custom":
            return [each.strip() for each in query.split(",")]
        series = re.fullmatch(r"\s*query_result\((.*)\)\s*", query, re.DOTALL)
        labels = re.fullmatch(r"\s*label_values\((?:(.*),)?\s*(\w+)\s*\)\s*", query, re.DOTALL)
        if series:
            found = prometheus.promql(lab, self.fill(series[1]), at=at)
            texts = [_as_text(row) for row in found.drop(columns=["time", "value"]).to_dict("records")]
        elif labels:
            found = prometheus.promql(lab, f"group by ({labels[2]}) ({self.fill(labels[1]) or EVERYTHING})", at=at)
            texts = list(found[labels[2]].dropna()) if labels[2] in found else []
        else:
            raise QueryError(f"The variable {variable['name']} asks {query}, which only Grafana understands.", "Choose another dashboard.")
        rule = variable.get("regex", "").strip("/")
        matches = [re.search(rule, text) for text in texts] if rule else []
        values = [each[1] if each.groups() else each[0] for each in matches if each] if rule else texts
        values = list(dict.fromkeys(value for value in values if value))
        return sorted(values) if variable.get("sort") else values


def _as_text(labels: dict) -> str:
    """A series as Grafana's `query_result` writes it for the variable's regular expression."""
    return "{" + ", ".join(f'{name}="{value}"' for name, value in labels.items() if isinstance(value, str)) + "}"


def _as_regex(chosen: str | list[str]) -> str:
    values = [chosen] if isinstance(chosen, str) else chosen
    escaped = [re.sub(r"([.+*?()|\[\]{}^$\\])", r"\\\1", each) for each in values]
    return escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"


def _in_string(text: str) -> str:
    """`text` for the inside of a string of PromQL, where a dashboard has its variables."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
