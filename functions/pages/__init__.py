"""The pages for browsers: one file and one template per page.

Start with `layout`, which renders templates. `warnings`, `verbs` and `charts` are shared by several pages. Forms of
verbs call functions of `functions.operators` and `functions.tickets`. Must not import `functions.timed`.
"""
