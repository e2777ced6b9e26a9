"""The embedded lab: a real one-node Kubernetes with the real Istio in Linux namespaces of its own. Its only product is a kubeconfig."""
