"""Why an import is refused: errors that carry facts and become one clear sentence."""

from collections.abc import Sequence
from pathlib import Path


class ImportRefused(Exception):
    """Base of all refusals; nothing was written."""


class DatabaseUnreadable(ImportRefused):
    """`database` (its name, without a password) cannot be read."""

    def __init__(self, database: str, why: str) -> None:
        super().__init__(f"{database}: {why}")
        self.database = database
        self.why = why


class UnknownSchema(ImportRefused):
    """The database has the schema `found` ("none" or several names, too), and only `known` can be imported."""

    def __init__(self, database: str, found: str, known: str) -> None:
        super().__init__(
            f"{database}: its schema is {found}, and only {known} (resalloc 6.3) can be imported; "
            "start resalloc 6.3 on it once, which brings an older one up to date"
        )
        self.database = database
        self.found = found
        self.known = known


class BrokenRow(ImportRefused):
    """A row holds a value that its column must not hold. `row` is the first column's value."""

    def __init__(self, database: str, table: str, row: object, column: str, why: str) -> None:
        super().__init__(f'{database}: table {table}, row {row}, column "{column}": {why}')
        self.database = database
        self.table = table
        self.row = row
        self.column = column


class BrokenRules(ImportRefused):
    """Rows contradict each other; each of `faults` is a sentence, and `str()` has one a line."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = tuple(faults)


class FolderInUse(ImportRefused):
    """The state folder at `root` is not empty, or a scheduler leads in it."""

    def __init__(self, root: Path, why: str) -> None:
        super().__init__(f"{root}: {why}; import into an empty folder that no server uses")
        self.root = root
        self.why = why
