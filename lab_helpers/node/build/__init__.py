"""What the lab is made from, and how each part of it is built and kept.

``versions.toml`` says what is taken from where; `toolchain` has what building needs and begins with; `binaries`, `applications` (their
sources are in ``go/``, ``nodeproxy/`` and ``images/``) and `images` say how each `Part` is built, `contained` runs one step of it, and
`store` keeps what is finished.
"""
