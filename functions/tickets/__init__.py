"""What clients do with tickets: create, check, wait, close, explain, over HTTP and over XML-RPC.

Start with create.py (one function, one document), then wait.py. waiting.py says why a ticket waits, as explain.py and
the pages show it; validation.py says what a ticket may ask for. The routes are in functions/app.py.

Imports web, policy and state. Must not import operators, pages or timed.
"""
