"""`make run`: the whole server in the foreground. It imports only `config`.

Start with `serve.py`; `processes.py` keeps the processes of the Procfile running.
"""
