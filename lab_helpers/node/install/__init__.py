"""What is put on a cluster: Istio and Bookinfo (`mesh`), Prometheus, Zipkin and Jaeger by Istio's own manifests (`addon_manifests`).

``overlay/`` holds all that the embedded lab, whose Envoy is the stock one, needs differently, each line with its reason. No other
cluster gets it.
"""
