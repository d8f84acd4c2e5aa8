"""Print everything that a program can show of `connector` and `pipelines`: help pages, signatures, reprs, `--help`.

``python tests/shown_names.py`` prints it; tests/test_shown_names.py runs that with a key in the environment.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import inspect
import os
import pkgutil
import pydoc
import traceback
from collections.abc import Callable, Iterator
from types import FunctionType, ModuleType
from typing import Any

import click

import connector
import pipelines
from connector.clients.asynchronous import AsyncFlexprice
from connector.clients.blocking import Flexprice
from connector.settings import load


def modules() -> Iterator[ModuleType]:
    """Every module of both packages."""
    for package in (connector, pipelines):
        yield package
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not found.name.endswith("__main__"):
                yield importlib.import_module(found.name)


def shown(name: str, value: Any, seen: set[int]) -> Iterator[str]:
    """What Python shows of an object, and of whatever it holds that is ours."""
    if id(value) in seen:
        return
    seen.add(id(value))
    yield f"{name} = {value!r}"
    if callable(value):
        with contextlib.suppress(ValueError, TypeError):
            yield f"{name}{inspect.signature(value)}"
    yield str(getattr(value, "__doc__", ""))
    if isinstance(value, functools.partial):
        yield repr((value.args, value.keywords))
    if isinstance(value, FunctionType):
        yield repr((value.__defaults__, value.__kwdefaults__, value.__annotations__))
        yield repr([cell.cell_contents for cell in value.__closure__ or () if cell != type(cell)()])
    if isinstance(value, click.Command):
        yield from shown_command(value)
    if inspect.isclass(value) and value.__module__.split(".")[0] in ("connector", "pipelines"):
        for inner, held in vars(value).items():
            yield from shown(f"{name}.{inner}", held, seen)


def shown_command(command: click.Command) -> Iterator[str]:
    """The help of a command, and every default that click knows."""
    context = click.Context(command, info_name=command.name)
    yield command.get_help(context)
    yield repr([(option.name, option.default, option.envvar) for option in command.params])
    yield repr(command.to_info_dict(context))
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            yield from shown_command(inner) if inner else ()


def key() -> str:
    """The key that all of this must not show."""
    return os.environ["FLEXPRICE_API_KEY"]


def shown_errors() -> Iterator[str]:
    """Errors of settings and clients that had the key in hand, as a program shows them that prints local variables."""
    wrong: list[tuple[str, Callable[[], object]]] = [
        ("load", lambda: load(nonsense=1)),
        ("load, host", lambda: load(base_url="http://host.example/v1")),
        ("load, key_env", lambda: load(key_env="not a name")),
        ("load, key", lambda: load(api_key=key() + "\u00e9")),
        ("load, spaces", lambda: load(api_key=f" {key()} x ")),
        ("client, key", lambda: Flexprice(base_url="http://host.example/v1", api_key=key())),
        ("async client, key", lambda: AsyncFlexprice(base_url="http://127.0.0.1/v1", api_key=key() + " x")),
        ("read, key", lambda: connector.read("usage", base_url="http://host.example/v1", api_key=key())),
        ("client", lambda: Flexprice(base_url="http://host.example/v1")),
        ("async client", lambda: AsyncFlexprice(base_url="http://host.example/v1")),
        ("read", lambda: connector.read("usage", base_url="http://host.example/v1")),
    ]
    for name, call in wrong:
        try:
            call()
        except Exception as error:
            told = traceback.TracebackException.from_exception(error, capture_locals=True)
            yield f"{name}: {error!r} {error.args!r} {vars(error)!r} {''.join(told.format())}"
        else:
            raise AssertionError(f"{name} did not fail")


def shown_values() -> Iterator[str]:
    """Settings and clients that hold the key."""
    settings = load(base_url="http://127.0.0.1:9/v1")
    assert settings.api.key, "the key is not in the environment"
    with Flexprice(settings) as client:
        for value in (settings, settings.api, client, client.gate, client._async, settings.require_key()):
            yield f"{value!r} {value!s} {value:}"
            yield repr(vars(value) if hasattr(value, "__dict__") else value)


if __name__ == "__main__":
    seen: set[int] = set()
    for module in modules():
        print(pydoc.render_doc(module, renderer=pydoc.plaintext))  # type: ignore[attr-defined]  # typeshed does not know it
        for name, value in vars(module).items():
            if name != "__builtins__":
                for text in shown(f"{module.__name__}.{name}", value, seen):
                    print(text)
    for text in (*shown_errors(), *shown_values()):
        print(text)
