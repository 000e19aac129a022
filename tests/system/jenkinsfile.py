"""Reads a Jenkinsfile without a Jenkins: its Groovy by a grammar, and what a declarative pipeline may be made of."""

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import tree_sitter_groovy
from tree_sitter import Language, Node, Parser

from tests.system.farm import PROJECT

FILE = PROJECT / "docs" / "ci" / "Jenkinsfile"
MAY_HAVE = {
    "pipeline": {
        *{"agent", "environment", "libraries", "options", "parameters", "post", "stages", "tools", "triggers"},
    },
    "stages": {"stage"},
    "stage": {
        *{"agent", "environment", "input", "matrix", "options", "parallel", "post", "stages", "steps", "tools", "when"},
    },
    "post": {
        *{"aborted", "always", "changed", "cleanup", "failure", "fixed", "regression", "success", "unstable"},
        "unsuccessful",
    },
}
"""The names that Jenkins knows within these blocks."""
MUST_HAVE = {"pipeline": {"agent", "stages"}, "stages": {"stage"}, "stage": {"steps"}}
_STEPS = {"steps", *MAY_HAVE["post"]}


class Block(NamedTuple):
    """`name arguments { parts }`; strings are in `arguments` as Groovy reads them, all else as it is written."""

    name: str
    arguments: tuple[str, ...] = ()
    parts: tuple["Block", ...] = ()

    def all(self, name: str) -> Iterator["Block"]:
        """All blocks with this name within it, in their order."""
        for part in self.parts:
            if part.name == name:
                yield part
            yield from part.all(name)


@cache
def pipeline() -> Block:
    """The one of the example."""
    return read(FILE.read_text())


def read(text: str) -> Block:
    """The pipeline of a Jenkinsfile. Raises ValueError when it is not Groovy, or not a declarative pipeline."""
    root = Parser(Language(tree_sitter_groovy.language())).parse(text.encode()).root_node
    if root.has_error:
        raise ValueError("this is not Groovy")
    found = [_block(node) for node in root.named_children if "comment" not in node.type]
    if [block.name for block in found] != ["pipeline"]:
        raise ValueError("this is not one pipeline")
    _check(found[0])
    return found[0]


def _check(block: Block) -> None:
    names = [part.name for part in block.parts]
    may, must = MAY_HAVE.get(block.name), MUST_HAVE.get(block.name, set())
    if may is not None and not set(names) <= may:
        raise ValueError(f"{block.name} cannot have {', '.join(sorted(set(names) - may))}")
    if block.name not in ("stages", "environment") and block.name not in _STEPS and len(names) != len(set(names)):
        raise ValueError(f"{block.name} has something twice")
    if not must <= set(names):
        raise ValueError(f"{block.name} has no {', '.join(sorted(must - set(names)))}")
    for part in block.parts:
        _check(part)


def _block(node: Node) -> Block:
    if node.type == "expression_statement":
        return _block(node.named_children[0])
    named = [child for child in node.named_children if "comment" not in child.type]
    if node.type == "local_variable_declaration":
        # `agent any` looks like the declaration of a variable.
        return Block(_text(named[0]), (_text(named[1]),))
    if node.type == "assignment_expression":
        return Block(_text(named[0]), (_value(named[1]),))
    if node.type not in ("method_invocation", "juxt_function_call"):
        raise ValueError(f"this is no block of a pipeline: {_text(node)}")
    arguments: tuple[str, ...] = ()
    parts: tuple[Block, ...] = ()
    for child in named[1:]:
        inner = [one for one in child.named_children if "comment" not in one.type]
        if child.type == "closure":
            parts = tuple(_block(one) for one in inner)
        else:
            arguments = tuple(_value(one) for one in inner)
    return Block(_text(named[0]), arguments, parts)


def _value(node: Node) -> str:
    text = _text(node)
    for quotes in ("'''", "'"):
        if text.startswith(quotes):
            text = text.removeprefix(quotes).removesuffix(quotes).replace("\\\n", "")
            if "\\" in text:
                raise ValueError(f"an escape that is not known here: {text}")
            break
    return text


def _text(node: Node) -> str:
    return (node.text or b"").decode()
