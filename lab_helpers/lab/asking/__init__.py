"""Requests that are sent from a pod of the lab, as that pod, and what it can prove to be."""
