"""Turns sources into CPython's own syntax tree as JSON. Runs in a sandbox; it reads the sources and never runs them.

A document is a list with one entry a file: {"path", "tree"} or {"path", "error": {"line", "column", "message"}}.
A node is {"_": class, "at": [line, column, end line, end column], fields...}. Lines count from 1 and columns from 0, in
characters (CPython counts bytes of UTF-8). Fields that are None, and those that the compiler has no use for, are left out.
"""

import ast
import json
import warnings

# Contexts follow from where an expression stands; type comments mean nothing at run time.
_LEFT_OUT = frozenset(("ctx", "type_comment", "type_ignores", "kind"))
# Longer texts are never an option, a name or a memory size.
_LONGEST_TEXT = 256
_LARGEST_INTEGER = 2**53


class _Text(str):
    """A piece of JSON that is ready, on the stack beside nodes that are not."""


def parse_files(document):
    """[{"path", "text"}] as JSON text -> the document above as JSON text."""
    return "[" + ",".join(_parse_file(file["path"], file["text"]) for file in json.loads(document)) + "]"


def _parse_file(path, text):
    try:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        tree = ast.parse(text, filename=path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # Finds what only the symbol table knows (`return` outside a function); the code is thrown away. From the text
            # and not from the tree: reading a deep tree back overflows the stack of a WebAssembly module.
            compile(text, path, "exec", dont_inherit=True)
        return '{"path":%s,"tree":%s}' % (json.dumps(path), _write(tree, _Columns(text)))
    except SyntaxError as error:
        # 3.14 reports some places past the end of the line; the compiler only prints them.
        place = (error.lineno or 1, max(error.offset or 1, 1), error.msg or "invalid syntax")
    except (ValueError, UnicodeError) as error:
        place = (1, 1, str(error))
    except (RecursionError, MemoryError):
        place = (1, 1, "the program is nested too deeply to be parsed")
    return json.dumps({"path": path, "error": {"line": max(place[0], 1), "column": place[1], "message": place[2]}})


class _Columns:
    """Columns in bytes of UTF-8 -> columns in characters."""

    def __init__(self, text):
        self.lines = [None if line.isascii() else line.encode("utf-8", "surrogatepass") for line in text.split("\n")]

    def character(self, line, column):
        encoded = self.lines[line - 1] if 0 < line <= len(self.lines) else None
        return column if encoded is None else len(encoded[:column].decode("utf-8", "ignore"))


def _write(tree, columns):
    """Writes a tree with a stack of its own: `a + b + c + ...` nests deeper than Python's."""
    pieces = []
    stack = [tree]
    while stack:
        item = stack.pop()
        if isinstance(item, _Text):
            pieces.append(item)
        elif isinstance(item, ast.AST):
            stack.extend(reversed(_node(item, columns)))
            # Taken apart from the top: freeing a deep tree as a whole overflows the stack of a WebAssembly module.
            item.__dict__.clear()
        elif isinstance(item, list):
            parts = [_Text("[")]
            for index, child in enumerate(item):
                if index:
                    parts.append(_Text(","))
                parts.append(child)
            parts.append(_Text("]"))
            stack.extend(reversed(parts))
        else:
            pieces.append("null" if item is None else json.dumps(item))
    return "".join(pieces)


def _node(node, columns):
    name = type(node).__name__
    parts = [_Text('{"_":"%s"' % name)]
    if getattr(node, "lineno", None) is not None:
        start = columns.character(node.lineno, node.col_offset)
        end = columns.character(node.end_lineno, node.end_col_offset)
        parts.append(_Text(',"at":[%d,%d,%d,%d]' % (node.lineno, start, node.end_lineno, end)))
    if isinstance(node, ast.Constant):
        parts.append(_Text(_constant(node.value)))
    else:
        for field in node._fields:
            value = getattr(node, field, None)
            if value is None or field in _LEFT_OUT:
                continue
            if isinstance(value, (ast.operator, ast.unaryop, ast.boolop, ast.cmpop)):
                value = type(value).__name__
            elif field == "ops":
                value = [type(op).__name__ for op in value]
            elif not isinstance(value, (ast.AST, list, str, int)):
                # The values of literal patterns (`case None:`); nothing in the compiler looks at them.
                value = repr(value)
            parts.append(_Text(',"%s":' % field))
            parts.append(value)
    parts.append(_Text("}"))
    return parts


def _constant(value):
    kind = type(value).__name__
    if value is None or value is Ellipsis or isinstance(value, (bytes, complex)):
        return ',"kind":"%s"' % kind
    if isinstance(value, str) and len(value) > _LONGEST_TEXT:
        return ',"kind":"str"'
    if isinstance(value, int) and abs(value) > _LARGEST_INTEGER:
        return ',"kind":"int"'
    if isinstance(value, float) and value - value != 0:
        return ',"kind":"float"'
    return ',"kind":"%s","value":%s' % (kind, json.dumps(value))
