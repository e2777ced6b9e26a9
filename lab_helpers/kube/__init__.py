"""Any Kubernetes, and nothing of Istio: the kubeconfig, the API server, pods, rollouts, and the commands of a terminal.

Objects are plain dicts, as in a manifest: the API server's schema judges what is in them, not ours.
"""
