"""The scheduler process: leads, and calls the timed functions when something changed or is due.

Start reading in `process.py`; `__main__.py` is the command line. `hooks` runs the hooks of pools and agents, with their
files in `runfiles` and their supervisor in `run-hook.sh`; `views` publishes what the web shows; `timing` wakes the main
thread. No other room starts subprocesses. It imports `functions.timed` and `functions.integrity`, the state and the
configuration; no room imports it.
"""
