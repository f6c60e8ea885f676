"""Named, lazily imported components: the one way in for spaces, encoders, predictors, tables and importers.

A component comes from one of three places:

- a line in the built-in table of its room (`Entry`), which costs no import until the name is used;
- the decorator `@register_...("name")` in a user's script or notebook;
- an entry point of an installed package, in the group `archcast.<kind>s`.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

from .errors import InvalidDataError, UnknownNameError

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


@dataclass(frozen=True)
class Entry:
    """A component that is imported on first use.

    Parameters
    ----------
    target : str
        `".room.module:attribute"`, relative to the package.
    summary : str
        One line for `archcast list`.
    defaults : mapping
        Keyword arguments that this name fixes by default, so that several names can share one class.
    """

    target: str
    summary: str
    defaults: Mapping[str, Any] = field(default_factory=dict)

    def load(self) -> Callable[..., Any]:
        """Import and return the factory."""
        module, _, attribute = self.target.partition(":")
        factory: Callable[..., Any] = getattr(importlib.import_module(module, package=__package__), attribute)
        return factory


class Registry:
    """All components of one kind, by name.

    Parameters
    ----------
    kind : str
        What is registered, in the singular: used in error messages, and for the entry point group.
    builtin : mapping of str to Entry
        The components that ship with archcast.
    """

    def __init__(self, kind: str, builtin: Mapping[str, Entry]) -> None:
        self.kind = kind
        self.group = f"archcast.{kind}s"
        self._builtin = dict(builtin)
        self._registered: dict[str, Callable[..., Any]] = {}

    def register(self, name: str) -> Callable[[F], F]:
        """Return a decorator that makes a class or factory available under `name`.

        Raises
        ------
        InvalidDataError
            If the name is taken by something else, or contains `@`, `+`, `:`, `,` or blanks.
        """
        if not name or any(c in "@+:," or c.isspace() for c in name):
            raise InvalidDataError(f"a {self.kind} name must not hold '@', '+', ':', ',' or blanks, got {name!r}")

        def decorate(factory: F) -> F:
            current = self._registered.get(name)
            same = current is not None and getattr(current, "__qualname__", 1) == getattr(factory, "__qualname__", 2)
            if name in self._builtin or (current is not None and not same):
                raise InvalidDataError(f"a {self.kind} named {name!r} is registered already")
            self._registered[name] = factory
            return factory

        return decorate

    def _entry_points(self) -> dict[str, EntryPoint]:
        return {point.name: point for point in entry_points(group=self.group)}

    def names(self) -> list[str]:
        """Return every name, built-in ones first and in their given order."""
        others = sorted({*self._registered, *self._entry_points()} - set(self._builtin))
        return [*self._builtin, *others]

    def added(self) -> list[str]:
        """Return the names that are not built in: registered by a decorator, or by another package."""
        return self.names()[len(self._builtin) :]

    def __contains__(self, name: object) -> bool:
        return name in self._builtin or name in self._registered or name in self._entry_points()

    def factory(self, name: str) -> Callable[..., Any]:
        """Return the class or factory registered as `name`, importing it if need be.

        Raises
        ------
        UnknownNameError
            If there is none; the message proposes the nearest name.
        """
        if name in self._builtin:
            return self._builtin[name].load()
        if name in self._registered:
            return self._registered[name]
        point = self._entry_points().get(name)
        if point is not None:
            loaded: Callable[..., Any] = point.load()
            return loaded
        close = difflib.get_close_matches(str(name), self.names(), n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise UnknownNameError(f"unknown {self.kind} {name!r}, expected one of {', '.join(self.names())}{hint}")

    def name_of(self, factory: Callable[..., Any]) -> str | None:
        """Return the first name under which exactly this class or function is registered, or None.

        Built-in components are told by where they are defined, and of the entry points only those of the package that
        defines the class are loaded, so that nothing else is imported.
        """
        module, qualname = getattr(factory, "__module__", ""), getattr(factory, "__qualname__", "")
        for name, entry in self._builtin.items():
            target = entry.target.partition(":")
            if f"{__package__}{target[0]}" == module and target[2] == qualname:
                return name
        for name, registered in self._registered.items():
            if registered is factory:
                return name
        for name, point in self._entry_points().items():
            if point.module.split(".")[0] == module.split(".")[0] and point.load() is factory:
                return name
        return None

    def create(self, name: str, /, **parameters: Any) -> Any:
        """Build the component `name`; `parameters` override what the name fixes by default.

        Raises
        ------
        UnknownNameError
            If there is no such component.
        InvalidDataError
            If it does not take one of the parameters, or needs one that is not given.
        """
        factory = self.factory(name)
        defaults = self._builtin[name].defaults if name in self._builtin else {}
        given = {**defaults, **parameters}
        accepted = inspect.signature(factory).parameters
        if not any(p.kind is p.VAR_KEYWORD for p in accepted.values()):
            for parameter in parameters:
                if parameter not in accepted:
                    raise InvalidDataError(
                        f"{self.kind} {name!r} has no parameter {parameter!r}, expected one of {', '.join(accepted)}"
                    )
        for parameter, description in accepted.items():
            positional_or_named = description.kind in (description.POSITIONAL_OR_KEYWORD, description.KEYWORD_ONLY)
            if positional_or_named and description.default is description.empty and parameter not in given:
                raise InvalidDataError(f"{self.kind} {name!r} needs the parameter {parameter!r}")
        return factory(**given)

    def make(self, kind: type[T], name: str, /, **parameters: Any) -> T:
        """Build the component `name` as `create` does, and see to it that it is what its kind promises.

        Raises
        ------
        UnknownNameError
            If there is no such component.
        InvalidDataError
            If `create` refuses the parameters, or what is registered makes something else than a `kind`.
        """
        made = self.create(name, **parameters)
        if not isinstance(made, kind):
            raise InvalidDataError(
                f"{self.kind} {name!r} is registered with {_with_article(type(made))}, expected {_with_article(kind)}"
            )
        return made

    def summary(self, name: str) -> str:
        """Return one line about `name`, without importing a built-in component."""
        if name in self._builtin:
            return self._builtin[name].summary
        document = inspect.getdoc(self.factory(name)) or ""
        return document.strip().splitlines()[0] if document.strip() else "(no description)"


def _with_article(kind: type) -> str:
    return f"{'an' if kind.__name__[0] in 'AEIOUaeiou' else 'a'} {kind.__name__}"
