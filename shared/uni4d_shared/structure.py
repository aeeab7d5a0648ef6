"""attrs values ↔ plain maps and lists, strictly: a wrong type is an error that says where, never a cast.

cattrs dispatches on the declared types; the hooks here replace its lenient ones (``int("3")``, a string taken
for a list). Arrays and byte strings pass through as they are; :mod:`uni4d_shared.codec` deals with them.
"""

from __future__ import annotations

from collections.abc import Callable
from types import UnionType
from typing import Any, Union, get_args, get_origin

import attrs
import cattrs
import numpy as np

from uni4d_shared.types import ArrayOf

__all__ = ["structure", "unstructure"]


def unstructure(value: object) -> Any:
    """``value`` as maps, lists and plain values; arrays and byte strings are left in place."""
    return _CONVERTER.unstructure(value)


def structure(plain: Any, cls: type) -> Any:
    """An instance of the attrs class ``cls``; ``TypeError`` or ``ValueError`` with the field's path."""
    return _CONVERTER.structure(plain, cls)


def _converter() -> cattrs.Converter:
    converter = cattrs.Converter(detailed_validation=False)
    for scalar in (int, float, str, bool, bytes):
        converter.register_structure_hook(scalar, _scalar)
    converter.register_structure_hook_func(_is(np.ndarray), _array)
    converter.register_structure_hook_func(
        _is(tuple), lambda value, hint: _tuple(value, get_args(hint), converter)
    )
    converter.register_structure_hook_func(
        _is(dict), lambda value, hint: _dict(value, get_args(hint), converter)
    )
    converter.register_structure_hook_func(
        _is_optional, lambda value, hint: _optional(value, get_args(hint), converter)
    )
    converter.register_structure_hook_factory(
        lambda hint: isinstance(hint, type) and attrs.has(hint), lambda cls: _attrs_hook(cls, converter)
    )
    converter.register_unstructure_hook(np.ndarray, lambda array: array)
    converter.register_unstructure_hook(bytes, lambda raw: raw)
    return converter


def _is(origin: type) -> Callable[[Any], bool]:
    return lambda hint: get_origin(hint) is origin or hint is origin


def _is_optional(hint: Any) -> bool:
    return get_origin(hint) in (Union, UnionType) and type(None) in get_args(hint)


def _scalar(value: Any, cls: type) -> Any:
    if cls is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, cls) or (cls is int and isinstance(value, bool)):
        raise TypeError(_expected(cls.__name__, value))
    return value


def _array(value: Any, hint: Any) -> Any:
    if not isinstance(value, np.ndarray):
        raise TypeError(_expected("an array", value))
    return value


def _tuple(value: Any, hints: tuple[Any, ...], converter: cattrs.Converter) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise TypeError(_expected("a list", value))
    if len(hints) == 2 and hints[1] is Ellipsis:
        hints = (hints[0],) * len(value)
    if len(hints) != len(value):
        raise ValueError(f"expected {len(hints)} items, got {len(value)}")
    return tuple(
        _at(f"[{index}]", item, hint, converter)
        for index, (item, hint) in enumerate(zip(value, hints, strict=True))
    )


def _dict(value: Any, hints: tuple[Any, ...], converter: cattrs.Converter) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise TypeError(_expected("a map with text keys", value))
    hint = hints[1] if hints else Any
    return {key: _at(f"[{key[:40]!r}]", item, hint, converter) for key, item in value.items()}


def _optional(value: Any, hints: tuple[Any, ...], converter: cattrs.Converter) -> Any:
    if value is None:
        return None
    (hint,) = (hint for hint in hints if hint is not type(None))
    return converter.structure(value, hint)


def _attrs_hook(cls: type, converter: cattrs.Converter) -> Callable[[Any, Any], Any]:
    attrs.resolve_types(cls)
    attributes = attrs.fields(cls)

    def build(value: Any, _: Any) -> Any:
        if not isinstance(value, dict):
            raise TypeError(f"{cls.__name__}: " + _expected("a map", value))
        arguments = {}
        for attribute in attributes:
            path = f"{cls.__name__}.{attribute.name}"
            if attribute.name in value:
                arguments[attribute.name] = _field(path, value[attribute.name], attribute, converter)
            elif attribute.default is attrs.NOTHING:
                raise ValueError(f"{path} is missing")
        return cls(**arguments)

    return build


def _field(path: str, value: Any, attribute: Any, converter: cattrs.Converter) -> Any:
    result = _at(path, value, attribute.type, converter)
    if isinstance(attribute.validator, ArrayOf) and result.dtype != attribute.validator.dtype:
        raise TypeError(f"{path}: expected an array of {attribute.validator.dtype}, got {result.dtype}")
    return result


def _at(path: str, value: Any, hint: Any, converter: cattrs.Converter) -> Any:
    """Structure ``value``; an error is raised again with ``path`` before it."""
    try:
        return converter.structure(value, hint)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{path}: {error}") from error


def _expected(wanted: str, value: object) -> str:
    return f"expected {wanted}, got {type(value).__name__}"


_CONVERTER = _converter()
