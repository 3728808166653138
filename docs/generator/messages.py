"""Every message that the package can end with, read from its source: code, class, exit status, and the words.

What a line of the source fills in at run time stands in angle brackets: `missing <column>`.
"""

import ast
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import prefsmith
from prefsmith import errors

PACKAGE = Path(prefsmith.__file__).parent
CLASSES = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, errors.PrefsmithError)
}
UNKNOWN = "<...>"
SIGNALLED = "128 + the signal's number"

Assumed = Mapping[str, bool]
"""Conditions of the source and what they are taken to be: one message does not mix two branches of the same one."""


@dataclass(frozen=True, slots=True)
class Text:
    """One wording of an expression, and the conditions under which it is this one."""

    words: str
    assumed: Assumed


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it is printed, but for its place; its class and exit status."""

    code: str
    kind: str
    status: str
    what: str
    fix: str

    def __str__(self) -> str:
        return f"[{self.code}] {self.what}" + (f"\n  fix:   {self.fix}" if self.fix else "")


@cache
def messages(package: Path = PACKAGE) -> tuple[Message, ...]:
    """Every message of the package, in the order of files and lines, each once.

    Raises:
        ValueError: a line raises an error whose code cannot be read from the source.
    """
    found: dict[Message, None] = {}
    for path in sorted(each for each in package.rglob("*.py") if each.name != "errors.py"):
        module = _Module(ast.parse(path.read_text(encoding="utf-8")))
        for call in module.calls:
            try:
                found |= dict.fromkeys(module.messages_of(call))
            except ValueError as error:
                raise ValueError(f"{path}:{call.lineno}: {error}") from error
    return tuple(found)


class _Module:
    """A file's syntax tree, and what its names stand for."""

    def __init__(self, tree: ast.Module) -> None:
        self.tree = tree
        self.parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}

    @cached_property
    def calls(self) -> list[ast.Call]:
        """Every call, by line."""
        calls = [node for node in ast.walk(self.tree) if isinstance(node, ast.Call)]
        return sorted(calls, key=lambda call: (call.lineno, call.col_offset))

    def messages_of(self, call: ast.Call) -> Iterator[Message]:
        """The messages that a call makes: of an error's constructor, or of the printing of one in `cli/main.py`."""
        name = ast.unparse(call.func)
        if name in CLASSES:
            yield from self._constructed(call, name)
        elif name == "_fail" and call.args:
            yield from self._printed(call)

    def _constructed(self, call: ast.Call, name: str) -> Iterator[Message]:
        given = {str(each.arg): each.value for each in call.keywords}
        signalled = name == "Interrupted"
        code = ast.Constant("run.interrupted") if signalled else call.args[0]
        parts = [code, call.args[1], given.get("fix")]
        if isinstance(code, ast.Name) and not self._assignments(code):
            return  # the constructor's own machinery passes the code on
        for texts in itertools.product(
            *(self.wordings(part) if part is not None else [Text("", {})] for part in parts)
        ):
            if _agree(texts):
                words = [text.words for text in texts]
                if not _is_code(words[0]):
                    raise ValueError(f"the code of {name} cannot be read from the source: {words[0]}")
                status = SIGNALLED if signalled else str(CLASSES[name].exit_code)
                fix = "" if words[2].startswith("<") and " " not in words[2] else words[2]  # all of it is the run's
                yield Message(words[0], name, status, words[1], fix)

    def _printed(self, call: ast.Call) -> Iterator[Message]:
        for text in self.wordings(call.args[0]):
            if text.words.startswith("[") and _is_code(code := text.words[1:].partition("]")[0]):
                what, _, fix = text.words.partition("] ")[2].partition("\n  fix:   ")
                yield Message(code, "", ast.unparse(call.args[1]), what, fix)

    def wordings(self, node: ast.expr) -> list[Text]:
        """Every text that an expression can be."""
        match node:
            case ast.Constant(value=str(words)):
                return [Text(words, {})]
            case ast.JoinedStr(values=values):
                return self._joined([self._piece(each) for each in values])
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return self._joined([self.wordings(left), self.wordings(right)])
            case ast.IfExp(test=test, body=body, orelse=orelse):
                name = ast.unparse(test)
                return [*self._under(body, {name: True}), *self._under(orelse, {name: False})]
            case ast.Name() if assigned := self._assignments(node):
                return [text for value, assumed in assigned for text in self._under(value, assumed)]
        return [Text(_blank(node), {})]

    def _under(self, node: ast.expr, assumed: Assumed) -> list[Text]:
        """The wordings that an expression can be under the conditions."""
        condition = Text("", assumed)
        texts = [text for text in self.wordings(node) if _agree((text, condition))]
        return [Text(text.words, {**text.assumed, **assumed}) for text in texts]

    def _piece(self, node: ast.expr) -> list[Text]:
        """A part of an f-string; what is shown by its representation stands in quotes."""
        if not isinstance(node, ast.FormattedValue):
            return self.wordings(node)
        if isinstance(node.value, ast.Name):
            values = self._local(node.value)
            texts = [text for value, assumed in values if _is_text(value) for text in self._under(value, assumed)]
        else:
            texts = self.wordings(node.value) if _is_text(node.value) else []
        texts = texts or [Text(_blank(node.value), {})]
        return [Text(f"'{text.words}'", text.assumed) for text in texts] if node.conversion == ord("r") else texts

    def _joined(self, parts: list[list[Text]]) -> list[Text]:
        return [
            Text(
                "".join(text.words for text in texts),
                {key: value for text in texts for key, value in text.assumed.items()},
            )
            for texts in itertools.product(*parts)
            if _agree(texts)
        ]

    def _assignments(self, name: ast.Name) -> list[tuple[ast.expr, Assumed]]:
        """What a local name, or a parameter of a function of this file, may stand for where it is used."""
        return self._local(name) or [(value, {}) for value in self._passed(name) or self._constant(name)]

    def _local(self, name: ast.Name) -> list[tuple[ast.expr, Assumed]]:
        """The values that the name may have been given in its function before the line that uses it."""
        function = self._function(name)
        assigned = [
            (node, value)
            for node in (ast.walk(function) if function else ())
            if isinstance(node, ast.Assign) and node.lineno < name.lineno
            for target, value in _pairs(node.targets[0], node.value)
            if target == name.id
        ]
        found: list[tuple[ast.expr, Assumed]] = []
        otherwise: dict[str, bool] = {}  # what must hold for an earlier value to have stayed
        for node, value in sorted(assigned, key=lambda each: -each[0].lineno):
            assumed = self._conditions(node, apart_from=name)
            if not assumed:
                return [*found, (value, otherwise)]
            found.append((value, assumed))
            if any(otherwise.get(test) is taken for test, taken in assumed.items()):
                return found  # both branches give it a value
            otherwise |= {test: not taken for test, taken in assumed.items()}
        return found

    def _constant(self, name: ast.Name) -> list[ast.expr]:
        """What a name of the module stands for."""
        pairs = ((node.targets[0], node.value) for node in self.tree.body if isinstance(node, ast.Assign))
        return [value for target, value in pairs if ast.unparse(target) == name.id and _is_text(value)]

    def _conditions(self, node: ast.AST, *, apart_from: ast.AST) -> dict[str, bool]:
        """The `if`s that the node stands in and the other does not, and which of their branches it stands in."""
        others, found = set(self._around(apart_from)), {}
        inner = node
        for outer in self._around(node):
            if isinstance(outer, ast.If) and outer not in others:
                found[ast.unparse(outer.test)] = inner in outer.body
            inner = outer
        return found

    def _around(self, node: ast.AST) -> Iterator[ast.AST]:
        """The nodes that a node stands in, from the inside out."""
        while node in self.parents:
            node = self.parents[node]
            yield node

    def _passed(self, name: ast.Name) -> list[ast.expr]:
        """What the calls of the name's function from other functions of this file give for it as a parameter."""
        function = self._function(name)
        if function is None or function.name.startswith("__"):
            return []
        parameters = [each.arg for each in (*function.args.args, *function.args.kwonlyargs) if each.arg != "self"]
        given = []
        for call in self.calls:
            if ast.unparse(call.func).removeprefix("self.") == function.name and self._function(call) is not function:
                arguments = dict(zip(parameters, call.args, strict=False))
                arguments |= {str(each.arg): each.value for each in call.keywords}
                given += [arguments[name.id]] if name.id in arguments else []
        return given

    def _function(self, node: ast.AST) -> ast.FunctionDef | None:
        return next((each for each in self._around(node) if isinstance(each, ast.FunctionDef)), None)


def _pairs(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    """Names and values of an assignment, also of `what, fix = "...", "..."`."""
    if isinstance(target, ast.Tuple):
        for index, each in enumerate(target.elts):
            # Where the right side is no tuple, a part of it is only known by the name that it is given.
            part = value.elts[index] if isinstance(value, ast.Tuple) else ast.Attribute(value, ast.unparse(each))
            yield ast.unparse(each), part
    else:
        yield ast.unparse(target), value


def _is_text(node: ast.expr) -> bool:
    """Whether its words stand in the source."""
    if isinstance(node, ast.IfExp):
        return _is_text(node.body) and _is_text(node.orelse)
    if isinstance(node, ast.BinOp):
        return _is_text(node.left) or _is_text(node.right)
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _agree(texts: tuple[Text, ...]) -> bool:
    """Whether no two of them assume the opposite."""
    conditions = [item for text in texts for item in text.assumed.items()]
    return all(dict(conditions)[test] is taken for test, taken in conditions)


def _blank(node: ast.expr) -> str:
    """What stands for a value that only the run knows: the name that the source has for it."""
    match node:
        case ast.Call(func=ast.Name(id="nearest")):
            return "did you mean <nearest>?"
        case ast.Call(func=ast.Name(id="len" | "sum" | "max" | "min")):
            return "<number>"
        case ast.Call(func=ast.Name(id="getattr"), args=[_, value, *_]):
            return _blank(value)
        case ast.Call(args=[value, *_]) | ast.Call(func=ast.Attribute(value=value)):
            return _blank(value)
        case ast.Name(id=name) | ast.Attribute(attr=name) | ast.Subscript(slice=ast.Name(id=name)):
            return f"<{name.strip('_').lower()}>"
        case (
            ast.GeneratorExp(elt=value) | ast.Subscript(value=value) | ast.BinOp(left=value) | ast.Starred(value=value)
        ):
            return _blank(value)
        case ast.Tuple(elts=[*_, value]):
            return _blank(value)
        case ast.Constant(value=value):
            return str(value)
    return UNKNOWN


def _is_code(text: str) -> bool:
    area, dot, name = text.partition(".")
    return bool(dot) and all(part.replace("_", "").isalpha() and part.islower() for part in (area, name))
