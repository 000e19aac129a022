"""The functions, called by two triggers: HTTP (app.py, under gunicorn) and time (timed/, by the scheduler).

Start with app.py: each route and its function. For HTTP: `app -> pages -> operators -> tickets -> web`; on the clock:
`timed -> integrity -> policy`. Files beside app.py are for both: text.py (values as people read them), logfields.py
(fields of log lines), leader_view.py (what the leading scheduler shows to web processes).

Imports state and config. Must not import scheduler.
"""
