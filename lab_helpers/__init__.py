"""The library that the chapters call, the embedded lab, and the command line ``meshlab``.

Each package imports only those above it here:

=========  ==============================================================================================
core       errors, manifests, statistics, paths, waiting: values and pure functions
kube       any Kubernetes: kubeconfig, the official client, apply, rollout, exec, commands
istio      istiod, Envoy, until when a change is in effect, installation, the gateway
traffic    requests sent, and what several chapters look through: counters, Prometheus, graph, traces
show       what a learner sees, given data: output, plots, checks
lab        `connect`, `Lab`, checkpoints, the records of the chapters
chapters   a folder each: its record, its checks, what only it needs, its widget
node       the embedded lab: a Kubernetes node on this machine; how it is built, and what is installed on it
course     all chapters run, the site, the record, a new chapter
cli        ``meshlab``
=========  ==============================================================================================

A script has ``from lab_helpers.lab import connect``, a notebook ``from lab_helpers.chapters.cNN_slug import *``.
"""

import os
import sys

# What root compiles in a clone or an environment of somebody else's, its owner cannot remove.
sys.dont_write_bytecode = sys.dont_write_bytecode or (os.geteuid() == 0 and "SUDO_UID" in os.environ)
