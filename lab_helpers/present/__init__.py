"""Everything a learner sees in a notebook: tables, plots, pages, checks. Talks to no cluster of its own accord."""
