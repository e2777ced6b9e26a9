"""Requests that are sent from a pod of the lab, as that pod; what it can prove to be, and what somebody on the wire reads of them."""
