"""What exists now: all living documents in memory, in the groups that a plan needs, so that a plan costs what changes.

Start at `snapshot.py`. Imports no other room of the policy.
"""
