"""Whether a state folder is whole: what must hold in it, what is left of a corrupt document, and what can be repaired.

Start at `invariants.py` (pure: an inventory in, faults out). `fsck.py` reads a folder and reports, `salvage.py` reads
corrupt documents, `repair.py` changes a folder that no scheduler leads. May import the policy and the store's survey,
never `timed`, `operators` or `web`.
"""
