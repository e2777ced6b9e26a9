"""Everything that talks to a cluster: its API, its proxies, its traffic. Draws nothing."""
