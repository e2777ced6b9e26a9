"""The course as a whole: every chapter run by Papermill, the site from that run, its record, and a new chapter."""
