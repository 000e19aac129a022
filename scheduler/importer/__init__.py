"""resalloc-import: brings the database of resalloc 6.3 into an empty state folder. Start reading in `__main__.py`.

`old_database` reads the rows, `rules` finds rows that contradict each other, `convert` makes documents of them,
`target` writes these. It imports the state and the configuration, no functions, and no other file of the scheduler.
"""
