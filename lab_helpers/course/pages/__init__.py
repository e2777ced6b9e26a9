"""The pages of the site: chapters made readable without a kernel, pages that are generated, and what is taken off a built page."""
