"""What an operation refuses before any call, and earlier call forms, which go on working with a DeprecationWarning.

Promised: a misspelt keyword is a TypeError that names the nearest one; so are both, or neither, of `customer_id` and
`external_id`, and an identifier that is no text. A value that is none of the few that the API knows is a FixInput, and
so is an empty list to search for: the server would answer with an empty page, or with everybody (contract.md 3.1).
`help()` and notebooks show every keyword by its name. Never done: judging texts and numbers (the server does), calls.
"""

from __future__ import annotations

import difflib
import functools
import inspect
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar, cast, get_args, get_origin, get_type_hints

from connector.errors import FixInput

__all__ = ["operation"]

F = TypeVar("F", bound=Callable[..., Any])
Given = dict[str, Any]

EARLIER = {
    "retry": "retries",
    "id": "customer_id",
    "customer_lookup_key": "external_id",
    "external_customer_id": "external_id",
}
"""Keywords of versions before 0.2, and what they are called now."""
WHO = ("customer_id", "external_id")
NARROWING = ("external_ids", "customer_ids", "subscription_ids", "subscription_status")
_LEVEL = 5  # frames from the warning to the caller: _warn, _renamed or _unpacked, _Form.current, call


def operation(keywords: type | None = None, *, body: bool = False) -> Callable[[F], F]:
    """Mark a method as an operation.

    Args:
        keywords: the TypedDict that its `**` stands for.
        body: whether versions before 0.2 took a dictionary of fields in the first place.
    """

    def wrap(method: F) -> F:
        form = _Form(method, keywords, body)

        @functools.wraps(method)
        def call(self: Any, *args: Any, **given: Any) -> Any:
            args, given = form.current(args, given)
            form.check(args, given)
            return method(self, *args, **given)

        call.__signature__ = form.signature  # type: ignore[attr-defined]  # what inspect, and so help(), looks at
        call.__doc__ = form.told
        return cast("F", call)

    return wrap


class _Form:
    """How an operation may be called."""

    def __init__(self, method: Callable[..., Any], keywords: type | None, body: bool) -> None:
        self.name = method.__name__
        self.text = method.__doc__ or ""
        self.takes_body = body
        self.plain = inspect.signature(method)
        self.keywords = keywords
        self.explicit = [name for name, p in self.plain.parameters.items() if p.kind is not p.VAR_KEYWORD][1:]
        self.one_customer = all(name in self.explicit for name in WHO)

    @functools.cached_property
    def hints(self) -> dict[str, Any]:
        """Name → type of what `**` stands for."""
        return get_type_hints(self.keywords) if self.keywords else {}

    @property
    def told(self) -> str | None:
        """The docstring, with what each keyword behind `**` means."""
        hints = get_type_hints(self.keywords, include_extras=True) if self.keywords else {}
        means = [f"    {name}: {part}." for name, hint in hints.items() for part in getattr(hint, "__metadata__", ())]
        return "\n".join([inspect.cleandoc(self.text), "", "Keywords:", *means]) if means else self.text

    @functools.cached_property
    def names(self) -> list[str]:
        """Every keyword."""
        return [*self.explicit, *self.hints]

    @property
    def signature(self) -> inspect.Signature:
        """The method's own, with the keywords by name instead of `**`."""
        keyword = functools.partial(inspect.Parameter, kind=inspect.Parameter.KEYWORD_ONLY, default=None)
        more = [keyword(name, annotation=inspect.formatannotation(hint)) for name, hint in self.hints.items()]
        kept = [p for p in self.plain.parameters.values() if p.kind is not p.VAR_KEYWORD]
        return self.plain.replace(parameters=[*kept, *more])

    def current(self, args: tuple[Any, ...], given: Given) -> tuple[tuple[Any, ...], Given]:
        """Translate earlier call forms."""
        if self.takes_body and (args or "body" in given):
            args, given = self._unpacked(args, given)
        return args, given if given.keys() <= set(self.names) else self._renamed(args, given)

    def _renamed(self, args: tuple[Any, ...], given: Given) -> Given:
        for old in [name for name in EARLIER if name in given and name not in self.names]:
            new = EARLIER[old]
            if new not in self.names:
                continue
            if new in given or (args and new == "customer_id"):
                raise TypeError(f"{self.name}() got {old}=, the earlier name of {new}, beside {new}. {self._hint()}")
            _warn(f"{self.name}({old}=…) is deprecated: write {new}=…")
            given = {**{name: value for name, value in given.items() if name != old}, new: given[old]}
        return given

    def _unpacked(self, args: tuple[Any, ...], given: Given) -> tuple[tuple[Any, ...], Given]:
        body = args[0] if args and isinstance(args[0], Mapping) else given.get("body")
        if not isinstance(body, Mapping):
            return args, given
        _warn(f"{self.name}({{…}}) is deprecated: write the keys of the dictionary as keywords")
        fields = dict(body)
        if "new_external_id" in self.names and "external_id" in fields:
            fields["new_external_id"] = fields.pop("external_id")
        kept = {name: value for name, value in given.items() if name != "body"}
        return (args[1:] if args and args[0] is body else args), {**fields, **kept}

    # --- what is refused ------------------------------------------------------------------------------------------

    def check(self, args: tuple[Any, ...], given: Given) -> None:
        """Raise TypeError or FixInput for what can be seen to be wrong."""
        for name in given:
            if name not in self.names:
                raise TypeError(f"{self.name}() got an unexpected keyword argument {name!r}.{self._near(name)}")
        if self.one_customer:
            self._check_who({**dict(zip(self.explicit, args, strict=False)), **given})
        for name, value in given.items():
            self._check_value(name, value)

    def _check_who(self, given: Given) -> None:
        who = {name: given[name] for name in WHO if given.get(name) is not None}
        if len(who) != 1:
            found = "both" if who else "neither"
            raise TypeError(f"{self.name}() takes customer_id or external_id, and got {found}. {self._hint()}")
        for name, value in who.items():
            if not isinstance(value, str):
                raise TypeError(f"{self.name}(): {name} is a {type(value).__name__}, not a text. {self._hint()}")
            if not value:
                raise FixInput(f"{self.name}: {name} is empty.", remedy="Give the customer's id, or external_id=….")

    def _hint(self) -> str:
        change = "; new_external_id= changes it" if "new_external_id" in self.names else ""
        return f'Write {self.name}(customer.id) or {self.name}(external_id="…"){change}.'

    def _near(self, name: str) -> str:
        near = difflib.get_close_matches(name, self.names, 1)
        return f" Did you mean {near[0]!r}?" if near else ""

    def _check_value(self, name: str, value: object) -> None:
        if name in self.hints and name in NARROWING and value is not None and not value:
            raise FixInput(f"{self.name}: {name} is empty.", remedy="The server would take that for no filter.")
        known = _literals(self.hints.get(name))
        values = value if isinstance(value, list | tuple | set) else [value]
        for one in values if known else ():
            if one is not None and one not in known:
                raise FixInput(f"{self.name}: {name} is {one!r}.", remedy=f"It takes {', '.join(known)}.")


def _literals(hint: Any) -> tuple[str, ...]:
    """Return the values of the Literal somewhere in a type; none if there is none."""
    if get_origin(hint) is Literal:
        return get_args(hint)
    return next((found for part in get_args(hint) if (found := _literals(part))), ())


def _warn(message: str) -> None:
    warnings.warn(f"{message}; the earlier form goes away in 1.0.", DeprecationWarning, stacklevel=_LEVEL)
