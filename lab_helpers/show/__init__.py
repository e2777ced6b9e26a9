"""What a learner sees, given data: output and pages, plots, checks. No cluster is asked for anything."""
