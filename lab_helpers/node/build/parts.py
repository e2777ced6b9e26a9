"""What the embedded lab is made of, as a whole; all else is what goes into these."""

from lab_helpers.node.build.binaries import ISTIO, ISTIO_SOURCES, KUBERNETES
from lab_helpers.node.build.debian import NODE_ROOT
from lab_helpers.node.build.images import IMAGE_STORE

ALL = (KUBERNETES, ISTIO, ISTIO_SOURCES, NODE_ROOT, IMAGE_STORE)
