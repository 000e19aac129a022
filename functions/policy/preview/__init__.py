"""What another pools.yaml would do: plans are made and followed in memory, with it and without it.

Start at `preview.py`; `rehearsal.py` follows the plans. The highest room of the policy.
"""
