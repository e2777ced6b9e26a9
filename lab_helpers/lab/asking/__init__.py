"""Requests that are sent from a pod of the lab, as that pod, and what somebody on the wire reads of them."""
