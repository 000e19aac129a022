"""All rows of the table, in its order."""

from tests.bench.rows import checks, crowds, grant, grants, policy, queues, rest, shim, waits, writes
from tests.bench.table import Row

ROWS: tuple[Row, ...] = (
    *grants.ROWS,
    *writes.ROWS,
    *queues.ROWS,
    *waits.ROWS,
    *crowds.ROWS,
    *policy.ROWS,
    *shim.ROWS,
    *rest.ROWS,
    *checks.ROWS,
    *grant.ROWS,
)
