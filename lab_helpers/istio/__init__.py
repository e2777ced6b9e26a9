"""The mesh on a cluster: istiod, Envoy, how it is installed, its gateway, and until when a change is in effect everywhere."""
