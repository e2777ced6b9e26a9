"""The embedded lab: a Kubernetes of one node on this machine, with Istio and Bookinfo. Its only product is a kubeconfig.

`lifecycle` brings it up and down, `status` looks at it, and `install.other_cluster` puts the same Istio on a cluster that is there already.

- `host`: what this machine must have; `machine`: the node's namespaces, root file system, cgroups and link, and how it is stopped.
- ``build/``: what the lab is made from, built from package registries and kept by version.
- ``kubernetes/``: what runs in the machine, from certificates to a cluster that pods can use.
- ``install/``: what is put on the cluster, and what stock Envoy has to be told for it.
- `files`: what root writes for a user; `lock` and `progress`: one command at a time, and what it is doing.

No notebook knows of it. Whatever is asked of a cluster goes through `kube`, `istio` and `lab`, as in a chapter.
"""
