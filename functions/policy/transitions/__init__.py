"""The next document: a pure function for each step of a plan and each outcome of a hook run, history included.

Start at `resource.py` and `ticket.py`. Every change of state goes through the tables in `state/lifecycle.py`. Imports
the clock, but neither a snapshot nor a plan.
"""
