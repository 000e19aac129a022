"""Reads everything in a state folder for fsck: start at `survey.py`. It changes nothing and takes no lock."""
