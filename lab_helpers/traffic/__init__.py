"""Requests sent, and what several chapters look at them through: the proxies' counters, Prometheus, the graph, traces."""
