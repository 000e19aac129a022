"""What the file store and the scheduler use of this machine: kernel locks, inotify, file stamps, the boot id.

Nothing here knows documents or the Store. Hook runs and configuration stay local to a host whatever the store is, so
the scheduler uses this room directly. It imports nothing of ours but `state.errors`.
"""
