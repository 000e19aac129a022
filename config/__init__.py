"""The configuration: server.yaml, pools.yaml, agents.yaml and the log. It imports nothing else of this project.

Start with `settings.py` (server.yaml), `pools.py` and `agents.py`; `python -m config check` reports every fault. `run/`
starts the whole server in the foreground. The other files are examples, hooks to copy and what an installation needs.
"""
