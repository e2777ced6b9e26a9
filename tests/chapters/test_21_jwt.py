"""Chapter 21: wrong answers, in its own run. (That it runs, and does what its record says, is in test_every_chapter.py.)"""

STEM = "21_jwt"
