"""The foundation of the HTTP functions: requests come in as structs, replies and errors go out in one shape.

Start with context.py (what the functions of one process share), requests.py and replies.py; errors.py lists every
error. offload.py, parking.py and lifetime.py keep the event loop free, let requests wait for changes and end a worker
quickly. gunicorn.py holds the settings of the server, request_counts.py counts replies over all workers.

The only room that knows gevent and gunicorn. Must not import tickets, operators, pages or timed.
"""
