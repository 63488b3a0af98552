"""Refuses Rego on which the embedded engine would end the process or parse for hours: recursion and deep nesting.

Source: OPA (`ast/compile.go`, `checkRecursion`; the parser's limit of its own recursion).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from gatekeeper.engines.rego.model import RegoModule
from gatekeeper.engines.rego.rego_text import blank_literals
from gatekeeper.errors import PolicyError
from gatekeeper.host.lazy_pattern import compile_lazily
from gatekeeper.named_tuple import NamedTuple

# The engine's parser needs three times as long for each further level: milliseconds for 8 levels, hours for 25.
MAX_LITERAL_DEPTH = 12
# Of brackets of all kinds, and of signs in a row: each takes a part of the stack.
MAX_DEPTH = 100
SIGNS = compile_lazily(rf"(?:-\s*){{{MAX_DEPTH}}}")
BRACKET = compile_lazily(r"[\[\](){}]")
# A bracket after one of these begins an array, a set or an object, and not the body of a rule or an index.
BEFORE_LITERAL = frozenset("([{,:=|;+-*/%&<>!")
FUNCTION_HEAD = compile_lazily(r"(?:default\s+)?([A-Za-z_]\w*(?:\.\w+)*)\(")
STATEMENT = compile_lazily(r"(?:default\s+)?[A-Za-z_]\w*")
# A line that ends like this goes on in the next one.
UNFINISHED = compile_lazily(r"(?:\bif|\bnot|\bin|\bwith|\bas|\belse|[=,|&+\-*/%<>:;])\s*$")
CALL = compile_lazily(r"(?<![\w.])([A-Za-z_]\w*(?:\.\w+)*)\(")
IMPORT = compile_lazily(r"^\s*import\s+data\.([\w.]+)(?:\s+as\s+(\w+))?", re.MULTILINE)
NO_STATEMENTS = ("else", "import", "package", "some", "every", "not")


class PolicyFunction(NamedTuple):
    """A function: where it begins, and the full names of what it calls."""

    path: str
    line: int
    calls: tuple[str, ...]


def reject_deep_nesting(module: RegoModule) -> None:
    """Refuses a module whose brackets or signs are nested too deeply.

    Raises:
        PolicyError: with the file and the line.
    """
    code = blank_literals(module.text)
    position = _find_deep_bracket(code)
    signs = SIGNS.search(code)
    if position is None and signs is None:
        return
    found = position if position is not None else signs.start() if signs else 0
    line = code.count("\n", 0, found) + 1
    reason = f"values are nested more than {MAX_LITERAL_DEPTH} levels deep, or brackets or signs more than {MAX_DEPTH}"
    raise PolicyError(f"{module.path}:{line}: {reason}; build the value in several rules, or set `engine: opa`")


def _find_deep_bracket(code: str) -> int | None:
    """The position of the first bracket that is nested too deeply."""
    literals: list[bool] = []
    depth = 0
    for bracket in BRACKET.finditer(code):
        if bracket.group() in ")]}":
            if literals:
                depth -= literals.pop()
            continue
        before = code[max(0, bracket.start() - 200) : bracket.start()].rstrip()
        is_literal = bracket.group() != "(" and before[-1:] in BEFORE_LITERAL
        literals.append(is_literal)
        depth += is_literal
        if depth > MAX_LITERAL_DEPTH or len(literals) > MAX_DEPTH:
            return bracket.start()
    return None


def reject_recursion(modules: Sequence[RegoModule]) -> None:
    """Refuses functions that call themselves, directly or through others: OPA does not compile them.

    Raises:
        PolicyError: with the file and the line of a function, and the calls that lead back to it.
    """
    functions: dict[str, list[PolicyFunction]] = {}
    for module in modules:
        for name, function in find_functions(module):
            functions.setdefault(name, []).append(function)
    graph = {
        name: sorted({call for one in same for call in one.calls if call in functions})
        for name, same in functions.items()
    }
    if cycle := _find_cycle(graph):
        first = functions[cycle[0]][0]
        steps = " -> ".join(f"data.{name}" for name in cycle)
        raise PolicyError(f"{first.path}:{first.line}: a function is recursive, which OPA refuses: {steps}")


def find_functions(module: RegoModule) -> Iterator[tuple[str, PolicyFunction]]:
    """The functions of a module, by full name (`package.function`); one with several bodies is found several times."""
    code = blank_literals(module.text)
    aliases = {alias or path.rpartition(".")[2]: path for path, alias in IMPORT.findall(code)}
    for start, text in _split_statements(code):
        head = FUNCTION_HEAD.match(text)
        if head is None:
            continue
        calls = [match[1] for match in CALL.finditer(text, head.end())]
        resolved = tuple(name for call in calls for name in _list_full_names(call, module.package, aliases))
        yield f"{module.package}.{head[1]}", PolicyFunction(module.path, code.count("\n", 0, start) + 1, resolved)


def _list_full_names(call: str, package: str, aliases: Mapping[str, str]) -> list[str]:
    """What a call can mean: a function of the package, of an imported one, or one with its full name."""
    first, _, rest = call.partition(".")
    names = [f"{package}.{call}"]
    if first == "data":
        names.append(rest)
    if first in aliases:
        names.append(f"{aliases[first]}.{rest}" if rest else aliases[first])
    return names


def _split_statements(code: str) -> Iterator[tuple[int, str]]:
    """The position and the text of each statement on the outermost level: a rule with its body."""
    begin, depth, position, previous = 0, 0, 0, ""
    for line in code.splitlines(keepends=True):
        text = line.strip()
        word = STATEMENT.match(text)
        is_new = word is not None and word.group() not in NO_STATEMENTS and not UNFINISHED.search(previous)
        if depth == 0 and is_new and position > begin:
            yield _strip_left(begin, code[begin:position])
            begin = position
        depth = max(0, depth + sum(map(text.count, "([{")) - sum(map(text.count, ")]}")))
        position += len(line)
        previous = text or previous
    yield _strip_left(begin, code[begin:])


def _strip_left(begin: int, text: str) -> tuple[int, str]:
    stripped = text.lstrip()
    return begin + len(text) - len(stripped), stripped


def _find_cycle(graph: Mapping[str, Sequence[str]]) -> list[str]:
    """Names that lead from one back to itself, which is first and last; empty if there are none."""
    done: set[str] = set()
    for root in graph:
        path: list[str] = []
        waiting = [iter([root])]
        while waiting:
            name = next(waiting[-1], None)
            if name is None:
                waiting.pop()
                if path:
                    done.add(path.pop())
            elif name in path:
                return [*path[path.index(name) :], name]
            elif name not in done:
                path.append(name)
                waiting.append(iter(graph[name]))
    return []
