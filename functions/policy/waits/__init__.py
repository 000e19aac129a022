"""Why a ticket waits, how long it will wait, and how many tickets wait for each pool.

Start at `explain.py`: it makes the plan once more and reports what limited it. `sentences.py` puts that into words,
`forecast.py` and `estimate.py` foresee when resources come. Must not import `preview`.
"""
