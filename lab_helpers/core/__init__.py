"""Values and pure functions: errors, manifests, statistics, paths, waiting. No cluster, no network, nothing drawn."""
