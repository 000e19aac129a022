"""The file store: paths, inotify, flock, fsync, quarantine, check sums, staging and ids are known only here.

Start at `store.py`, whose FileStore implements `state.store.Store`. Below it: `folder.py` and `archive.py` (documents),
`keys.py`, `events.py`, `samples.py`, `leader.py`, `corruption.py`; all of them work on `disk.py`.
`check/` reads a whole folder for fsck. Outside this room only `state.open_store` and the fsck command may import it.
"""
