"""The embedded lab: a Kubernetes node of one machine, with Istio and Bookinfo on it. No notebook knows of it; its only product is a kubeconfig.

`lifecycle` brings it up and down, `status` looks at it, and `elsewhere` puts the same Istio on a cluster that is there already.

- The node: `host` (what this machine must have), `machine` (namespaces, link, root file system), `pki`, `configuration` and `components`
  (what runs in it), `cluster` (images, DNS and metrics, with ``manifests/``).
- ``build/``: what it is made from, built from package registries and kept by version.
- ``install/``: what is put on the cluster, and what stock Envoy has to be told for it.
- For all commands: `lock` (one at a time) and `progress` (what they are doing).

Whatever is asked of a cluster goes through `kube`, `istio` and `lab`, as in a chapter.
"""
