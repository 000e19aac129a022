"""The example for Jenkins, as far as can be checked without one; test_ci_examples.py runs its shell steps."""

import pytest

from tests.system.jenkinsfile import FILE, pipeline, read


def test_the_jenkinsfile_parses_as_groovy_and_has_the_blocks_of_a_declarative_pipeline() -> None:
    """No Jenkins reads it here: the grammar and the names of the blocks are checked, and the steps are all of `sh`."""
    assert [stage.arguments for stage in pipeline().all("stage")] == [("With resalloc run",), ("With curl",)]
    steps = [step for name in ("steps", "always", "cleanup") for part in pipeline().all(name) for step in part.parts]
    assert {(step.name, len(step.arguments), step.parts) for step in steps} == {("sh", 1, ())}


@pytest.mark.parametrize(
    ("part", "wrong", "fault"),
    [
        ("stages {", "stages", "not Groovy"),
        ("sh 'rm", "sh rm", "not Groovy"),
        ("'HOURS')", "'HOURS'", "not Groovy"),
        ("    agent any\n", "", "no agent"),
        ("always {", "allways {", "post cannot have allways"),
        ("            steps {", "            step {", "stage cannot have step"),
        ("    options {", "    agent none\n    options {", "twice"),
        ("pipeline {", "node {", "not one pipeline"),
    ],
)
def test_a_slip_in_the_jenkinsfile_would_be_found(part: str, wrong: str, fault: str) -> None:
    text = FILE.read_text()
    assert part in text
    with pytest.raises(ValueError, match=fault):
        read(text.replace(part, wrong, 1))
