"""The timed functions: what the leading scheduler calls when something changed or is due.

Start reading in `reconcile.py`. One function a file: `reconcile` (with `outcomes`), `livecheck`, `cleanup` (with
`patrol`), `agents`, `archive`, `events`, `samples`; `waiting_view` and `metrics_view` show what they did. All take a
`Leader` (`leader.py`): the store, the settings, the clock and the hooks, with the `mirror` of the documents and the
`journal` of unwritten events. What is decided is decided by `functions.policy`.

Imports `functions.integrity`, `functions.policy`, the state and the configuration; no Flask, no gevent, and no function
that answers requests.
"""
