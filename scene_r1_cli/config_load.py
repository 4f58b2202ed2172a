"""Puts a command's configuration together: defaults < preset < ``--config`` files < ``--set`` < flags.

Every value remembers where it came from, so an error names the file or flag that is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError

from scene_r1_cli.errors import ConfigError

if TYPE_CHECKING:
    from scene_r1_cli.config import GroundConfig

Values = dict[str, Any]
Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class _Layer:
    """Some settings and where they come from, as words for an error message."""

    source: str
    values: Values


def load_config(
    *,
    preset: str | None = None,
    files: Sequence[Path] = (),
    sets: Sequence[str] = (),
    flags: Mapping[str, Any] | None = None,
) -> GroundConfig:
    """The configuration of ``scener1 ground``.

    Args:
        preset: Name of a preset; None leaves it to the files, else the default.
        files: YAML files, later ones win.
        sets: ``a.b=value`` texts, later ones win; a value is read as YAML.
        flags: Dotted keys to values; None means the flag was not given.

    Returns:
        The checked configuration; its ``preset`` is the one that was used.

    Raises:
        ConfigError: A file cannot be read, a key is not known, or a value is not accepted.
    """
    from scene_r1_cli.config import GroundConfig
    from scene_r1_cli.models.presets import preset_path

    layers = _given_layers(files, sets, flags)
    if preset is not None:
        layers.append(_Layer("--preset", {"preset": preset}))

    named = [layer.values["preset"] for layer in layers if "preset" in layer.values]
    preset_name = named[-1] if named else GroundConfig().preset
    path = preset_path(str(preset_name))
    layers.insert(0, _Layer(f"preset {preset_name}", _read_yaml(path)))

    return _combine(GroundConfig, layers, {"preset": preset_name})


def load_settings(
    model: type[Model],
    *,
    files: Sequence[Path] = (),
    sets: Sequence[str] = (),
    flags: Mapping[str, Any] | None = None,
) -> Model:
    """The configuration of a command that has no presets; arguments and errors as in ``load_config``."""
    return _combine(model, _given_layers(files, sets, flags), {})


def _given_layers(
    files: Sequence[Path], sets: Sequence[str], flags: Mapping[str, Any] | None
) -> list[_Layer]:
    layers = [_Layer(str(path), _read_yaml(path)) for path in files]
    layers += [_set_layer(text) for text in sets]
    given_flags = {key: value for key, value in (flags or {}).items() if value is not None}
    return layers + [_Layer(f"the flag for {key}", _nested(key, value)) for key, value in given_flags.items()]


def _combine(model: type[Model], layers: Sequence[_Layer], fixed: Values) -> Model:
    """Merge layers, later ones win, and check the result."""
    merged: Values = {}
    sources: dict[tuple[str, ...], str] = {}
    for layer in layers:
        _check_keys(layer.values, model, layer.source)
        _merge(merged, layer.values, model, layer.source, sources)
    try:
        return model.model_validate(merged | fixed)
    except ValidationError as error:
        raise _as_config_error(error, sources) from error


def _read_yaml(path: Path) -> Values:
    import yaml

    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"The config file {path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"The config file {path} is not UTF-8 text.") from error
    try:
        values = _parse_yaml(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1}: {getattr(error, 'problem', '')})" if mark else ""
        raise ConfigError(f"The config file {path} is not valid YAML{where}.") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"The config file {path} holds no settings; it must be lines of `key: value`.")
    return values


def _parse_yaml(text: str) -> Any:
    """As ``yaml.safe_load``, but ``6e-5`` is a number, as in JSON and YAML 1.2; YAML 1.1 wants ``6.0e-5``."""
    import yaml

    class Loader(yaml.SafeLoader):
        pass

    number = re.compile(r"[-+]?([0-9][0-9_]*(\.[0-9_]*)?|\.[0-9]+)[eE][-+]?[0-9]+$")
    Loader.add_implicit_resolver("tag:yaml.org,2002:float", number, list("-+.0123456789"))
    return yaml.load(text, Loader)


def _set_layer(text: str) -> _Layer:
    key, equals, value_text = text.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {text} is not KEY=VALUE.", "For example: --set video.fps=1.5")
    import yaml

    try:
        value = _parse_yaml(value_text)
    except yaml.YAMLError:
        value = value_text
    return _Layer(f"--set {text}", _nested(key.strip(), value))


def _nested(dotted_key: str, value: Any) -> Values:
    """``{"a": {"b": value}}`` of ``a.b``."""
    for part in reversed(dotted_key.split(".")):
        value = {part: value}
    return value


def _merge(
    into: Values,
    values: Mapping[str, Any],
    model: type[BaseModel],
    source: str,
    sources: dict[tuple[str, ...], str],
    path: tuple[str, ...] = (),
) -> None:
    """Overwrite leaves of ``into`` in place, noting the source of each."""
    for key, value in values.items():
        key_path = (*path, key)
        if isinstance(value, Mapping):
            _merge(into.setdefault(key, {}), value, model, source, sources, key_path)
        elif _section(model, key_path) is None:
            into[key] = value
            sources[key_path] = source


def _section(model: type[BaseModel], path: tuple[str, ...]) -> type[BaseModel] | None:
    """The config model of a section such as ``("model", "sampling")``; None for a single setting."""
    for key in path:
        annotation = model.model_fields[key].annotation
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return None
        model = annotation
    return model


def _check_keys(
    values: Mapping[Any, Any],
    model: type[BaseModel],
    source: str,
    path: tuple[str, ...] = (),
    root: type[BaseModel] | None = None,
) -> None:
    """Refuse keys the models do not have, and single values where a section belongs."""
    root = root or model
    for key, value in values.items():
        dotted = ".".join((*path, str(key)))
        if key not in model.model_fields:
            raise ConfigError(
                f"{source}: {dotted} is no setting; {_accepted(model, path)}.", _did_you_mean(dotted, root)
            )
        section = _section(model, (key,))
        is_mapping = isinstance(value, Mapping)
        if section is None and is_mapping and _takes_mapping(model.model_fields[key].annotation):
            continue  # free keys, or a section that may be null: pydantic looks at what is below
        if section is None and is_mapping:
            raise ConfigError(f"{source}: {dotted} takes one value; it has no settings below it.")
        if section is not None and is_mapping:
            _check_keys(value, section, source, (*path, key), root)
        elif section is not None and value is not None:  # an empty section is allowed
            accepted = _accepted(section, (dotted,))
            raise ConfigError(f"{source}: {dotted} is a section, not a value; {accepted}.")


def _takes_mapping(annotation: Any) -> bool:
    """True for a ``dict``, and for a section that may be left out (``Section | None``)."""
    if get_origin(annotation) is dict:
        return True
    return any(isinstance(item, type) and issubclass(item, BaseModel) for item in get_args(annotation))


def _accepted(model: type[BaseModel], path: tuple[str, ...]) -> str:
    where = f"{'.'.join(path)} has" if path else "there are"
    return f"{where} {', '.join(model.model_fields)}"


def _did_you_mean(dotted: str, root: type[BaseModel]) -> str:
    known = list(_all_keys(root))
    by_name = [key for key in known if key.split(".")[-1] == dotted.split(".")[-1]]
    close = get_close_matches(dotted, known, n=1) or by_name[:1]
    return f"Did you mean {close[0]}?" if close else ""


def _all_keys(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[str]:
    for key in model.model_fields:
        yield ".".join((*path, key))
        section = _section(model, (key,))
        if section is not None:
            yield from _all_keys(section, (*path, key))


def _as_config_error(error: ValidationError, sources: Mapping[tuple[str, ...], str]) -> ConfigError:
    """The first problem as one sentence that names key, value, source and what is accepted."""
    first = error.errors()[0]
    path = tuple(str(part) for part in first["loc"])
    source = next((sources[path[:end]] for end in range(len(path), 0, -1) if path[:end] in sources), None)
    came_from = f" (from {source})" if source else ""
    problem = first["msg"][:1].lower() + first["msg"][1:]
    return ConfigError(f"{'.'.join(path)} is {first['input']!r}{came_from}: {problem}.")
