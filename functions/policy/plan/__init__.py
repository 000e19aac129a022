"""What a reconcile pass should do: the steps of a plan, in the order of docs/semantics.md (A reconcile pass).

Start at `plan.py`. A `Draft` holds what the plan in the making has decided; each of the other files decides one kind of
steps; `apply.py` returns the documents after a step. Must not import `waits` or `preview`.
"""
