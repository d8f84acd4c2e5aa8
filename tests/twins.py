"""Writes the operations of the blocking client from those of the async one: `python tests/twins.py`.

Both have the same signatures and docstrings, so there is one place to change them; `tests/test_both_clients.py`
compares.
"""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "connector" / "clients"
NAMES = ("customers", "listings", "allowances")
HEAD = '''"""{title}, for programs without an event loop.

Written from `connector.clients.{name}` by `python tests/twins.py`: change that module, never this one.
"""

{imports}

__all__ = ["{kind}"]


class {kind}(Waiting):
    """{about}"""
'''
METHOD = """
    {decorator}
    def {name}({signature}) -> {returns}:
        {docstring}
        {body}
"""
ITERATORS = {
    "AsyncCustomerIterator": "CustomerIterator",
    "AsyncSubscriptionIterator": "SubscriptionIterator",
}


def twin(name: str) -> str:
    """The blocking module that belongs to the async one."""
    text = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    tree = ast.parse(text)
    kind = next(node for node in tree.body if isinstance(node, ast.ClassDef))
    made = HEAD.format(
        title=(ast.get_docstring(tree) or "").splitlines()[0].rstrip("."),
        name=name,
        imports=_imports(tree),
        kind=kind.name.removeprefix("Async"),
        about=ast.get_docstring(kind),
    )
    methods = [node for node in kind.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    made += "".join(_method(text, node) for node in methods if not node.name.startswith("_"))
    return made


def methods(text: str) -> dict[str, str]:
    """Name → what a module's class says in it, however it is laid out."""
    kind = next(node for node in ast.parse(text).body if isinstance(node, ast.ClassDef))
    return {node.name: ast.unparse(node) for node in kind.body if isinstance(node, ast.FunctionDef)}


def _imports(tree: ast.Module) -> str:
    """All of the other module's; those that are not needed are removed afterwards."""
    found = [ast.unparse(node) for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    found.append("from connector.clients.waiting import Waiting")
    text = "\n".join(found)
    for ours, theirs in ITERATORS.items():
        text = text.replace(ours, theirs)
    return text


def _method(text: str, node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    docstring = ast.get_source_segment(text, node.body[0]) or ""
    docstring = re.sub(r"\(await ((?:[^()]|\([^()]*\))*)\)", r"\1", docstring)
    docstring = docstring.replace("await ", "").replace("async for", "for")
    names = ["self", *(arg.arg for arg in node.args.args[1:])]
    passed = [*names[1:], *(f"{arg.arg}={arg.arg}" for arg in node.args.kwonlyargs)]
    passed += [f"**{node.args.kwarg.arg}"] if node.args.kwarg else []
    ours = f"self._api.{node.name}"
    returns = ast.unparse(node.returns) if node.returns else "None"
    iterator = returns in ITERATORS
    return METHOD.format(
        decorator="@" + ast.unparse(node.decorator_list[0]),
        name=node.name,
        signature=ast.unparse(node.args),
        returns=ITERATORS.get(returns, returns),
        docstring=docstring,
        body=f"return {ITERATORS[returns]}({ours}({', '.join(passed)}), self._run)"
        if iterator
        else f"return self._run({', '.join([ours, *passed])})",
    )


def _tidy(text: str) -> str:
    """Remove unused imports, and format."""
    for how in (["check", "--select", "F401,I", "--fix", "-q"], ["format"]):
        given = [
            shutil.which("ruff") or str(Path(sys.executable).with_name("ruff")),
            *how,
            "--stdin-filename",
            str(FOLDER / "twin.py"),
            "-",
        ]
        text = subprocess.run(given, input=text, capture_output=True, text=True, check=True, cwd=FOLDER).stdout
    return text


def main() -> None:
    for name in NAMES:
        (FOLDER / f"blocking_{name}.py").write_text(_tidy(twin(name)), encoding="utf-8")


if __name__ == "__main__":
    main()
