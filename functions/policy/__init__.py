"""The policy: what to do, decided purely from documents, options of pools and a time. It does no input or output.

Start at `plan/plan.py`, the one decision function. `snapshot` is what it reads, `transitions` makes the documents after
each step, `waits` explains to people why tickets wait and for how long, `preview` follows plans ahead with another
pools.yaml. Imports go one way: preview, waits, plan, transitions, snapshot. `order.py` is the order in which tickets
are served, `clock.py` judges stored times when the wall clock was set back.

Must not import the store, settings, Flask or any room that does input or output.
"""
