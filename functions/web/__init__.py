"""The foundation of the HTTP functions: requests come in as structs, replies and errors go out in one shape.

Start with context.py (what the functions of one process share), requests.py and replies.py. errors.py lists every
error; times.py reads times and spans as people write them. offload.py, parking.py and lifetime.py keep the event loop
free, let requests wait for changes and end a worker quickly. openapi.py describes all functions for /openapi.json,
gunicorn.py holds the settings of gunicorn, request_counts.py counts replies over all workers.

The only room that knows gevent and gunicorn. Must not import tickets, operators, pages or timed.
"""
