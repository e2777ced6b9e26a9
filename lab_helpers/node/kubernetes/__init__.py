"""What runs in the machine: certificates (`pki`), configuration files, the components in their order, and the cluster that they make.

``manifests/`` holds what belongs to the cluster itself: its DNS and metrics-server.
"""
