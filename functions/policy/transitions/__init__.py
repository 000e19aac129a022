"""What becomes of one document: a pure function for each step and for each end of a hook run, with its history.

Start at `resource.py` and `ticket.py`. Every change of state goes through the tables in `state/lifecycle.py`. Imports
the clock, but neither a snapshot nor a plan.
"""
