"""HTTP functions for operators: what they can see and what they can do. Each file serves routes of `functions.app`.

Start with `read_model`: resources, tickets and pools as all other files here see them. `verbs` writes intents, which
the next reconcile pass decides. Must not import `functions.pages` or `functions.timed`.
"""
