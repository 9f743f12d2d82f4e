"""Root configurations as flat values and as TOML: one table a section, one key an option.

A root is a frozen dataclass whose fields are section dataclasses; a section's fields are the options. Names
of options are unique within a root, so values travel as one flat ``{option: value}`` and TOML keeps the
sections. This module imports the standard library only (the TOML writer when something is written), because
``aam --help`` uses it.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from aam_data.options.alias import Alias, Required, choice_of, option_called
from aam_train.options.validate import MAX_NUMBER, MAX_SHOWN, check_value, shortened

RootT = TypeVar("RootT")
MAX_PARTS = 100  # of a key; tomllib needs time in the square of their number
MAX_PROBLEMS = 20  # in one message
_PART = r"""(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+"""
_DEEP_KEY = re.compile(rf"""(?<![\w"'.-])(?:{_PART}\.[ \t]*+){{{MAX_PARTS}}}""")


class ConfigError(ValueError):
    """Settings that are unknown, missing or out of range. The message is one line that names the flags or keys."""


@dataclasses.dataclass(frozen=True)
class ConfigField:
    """One option of a root.

    Attributes:
        section: field of the root that has the option.
        owner: the section dataclass that declares it.
        kind: its type without ``Annotated`` and without ``| None``.
        common: whether it is marked ``Common``.
        default: its default, or ``dataclasses.MISSING`` when it is required.
        aliases: older names of the option, see `Alias`.
    """

    name: str
    section: str
    owner: type
    kind: Any
    common: bool
    default: Any
    aliases: tuple[str, ...] = ()

    @property
    def required(self) -> bool:
        return self.default is dataclasses.MISSING

    @property
    def flag(self) -> str:
        return flag(self.name)


def flag(name: str) -> str:
    """Return the command line flag of an option's name."""
    return "--" + name.replace("_", "-")


def config_fields(root_class: type) -> dict[str, ConfigField]:
    """Return the options of a root by name, in the order of declaration."""
    fields: dict[str, ConfigField] = {}
    names: set[str] = set()
    marked = get_type_hints(root_class, include_extras=True)
    for section, owner in _sections(root_class).items():
        marks = marked[section].__metadata__ if get_origin(marked[section]) is Annotated else ()
        required = {name for mark in marks if isinstance(mark, Required) for name in mark.names}
        hints = get_type_hints(owner, include_extras=True)
        for field in dataclasses.fields(owner):
            kind, common = hints[field.name], False
            aliases: tuple[str, ...] = ()
            if get_origin(kind) is Annotated:
                common = "common" in kind.__metadata__
                aliases = tuple(name for mark in kind.__metadata__ if isinstance(mark, Alias) for name in mark.names)
                kind = kind.__origin__
            if NoneType in get_args(kind):  # TOML has no null: absent must mean the default
                assert field.default is None, f"{owner.__name__}.{field.name}: must default to None"
            for name in (field.name, *aliases):
                assert name not in names, f"{root_class.__name__}: {name} is declared in two sections"
                names.add(name)
            kind, default = _without_none(kind), dataclasses.MISSING if field.name in required else field.default
            fields[field.name] = ConfigField(field.name, section, owner, kind, common, default, aliases)
    return fields


def fields_by_spelling(fields: Mapping[str, ConfigField]) -> dict[str, ConfigField]:
    """Return the fields by each of their accepted names: the current ones and the aliases."""
    return {name: field for field in fields.values() for name in (field.name, *field.aliases)}


def merge_spellings(
    values: Mapping[str, Any], fields: Mapping[str, ConfigField], write: Callable[[str], str]
) -> dict[str, Any]:
    """Return values under the current names of their options.

    Args:
        values: values by name; names may be aliases.
        fields: the options of the root, by current name.
        write: how a message writes a name: as a flag or as a key.

    Raises:
        ConfigError: two spellings of one option have different values.
    """
    spellings = fields_by_spelling(fields)
    merged: dict[str, Any] = {}
    for name in sorted(values, key=lambda name: name != spellings[name].name):  # current names first
        current = spellings[name].name
        if current in merged and merged[current] != values[name]:
            raise ConfigError(f"{write(name)} is an older spelling of {write(current)}; use one of them")
        merged[current] = values[name]
    return merged


def build_config(root_class: type[RootT], values: Mapping[str, Any]) -> RootT:
    """Build a root from flat values; absent options take their defaults.

    Raises:
        ConfigError: required options are missing, or ``__post_init__`` of a section or of the root raises ValueError.
    """
    fields = config_fields(root_class)
    sections, problems = {}, []
    for name, value in values.items():
        try:
            check_value(flag(name), value)
        except ValueError as error:
            problems.append(str(error))
    if problems:
        raise ConfigError(_few(problems))
    if missing := [field.flag for field in fields.values() if field.required and field.name not in values]:
        raise ConfigError(f"missing {', '.join(missing)}")
    for section, owner in _sections(root_class).items():
        names = [name for name, field in fields.items() if field.section == section and name in values]
        try:
            sections[section] = owner(**{name: values[name] for name in names})
        except ValueError as error:
            problems.append(str(error))
    if problems:
        raise ConfigError(_few(problems))
    try:
        return root_class(**sections)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def config_to_toml(config: object) -> str:
    """Write a root as TOML, which ``config_from_toml`` reads back.

    Args:
        config: a root, such as a ``TrainConfig``.

    Returns:
        The text.

    Example:
        >>> Path("run.toml").write_text(config_to_toml(config))
    """
    import tomli_w  # only the commands that write a run need it

    return tomli_w.dumps(config_to_dict(config))


def config_to_dict(config: object) -> dict[str, dict[str, Any]]:
    """Return ``{section: {option: value}}`` in TOML's types: no None, paths as text, tuples as lists."""
    tables: dict[str, dict[str, Any]] = {section: {} for section in _sections(type(config))}
    for field in config_fields(type(config)).values():
        value = getattr(getattr(config, field.section), field.name)
        if value is not None:
            tables[field.section][field.name] = _to_toml(value)
            _check_storable(field.flag, value)
    return tables


def _check_storable(flag: str, value: Any) -> None:
    """Raise ConfigError for text that is not Unicode, such as a path in another encoding."""
    for item in value if isinstance(value, tuple) else (value,):
        if isinstance(item, str | Path) and not _is_unicode(str(item)):
            raise ConfigError(f"{flag} {item}: not UTF-8, and the settings of a run are stored in UTF-8. Rename it")


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def flat_settings(config: object) -> dict[str, Any]:
    """Return ``{option: value}`` of all sections; names of options are unique within a root."""
    return {name: value for section in config_to_dict(config).values() for name, value in section.items()}


def config_from_toml(text: str, root_class: type[RootT]) -> RootT:
    """Read a root from TOML.

    Args:
        text: TOML, one table per section.
        root_class: class of the root, such as ``TrainConfig``.

    Returns:
        The root.

    Raises:
        ConfigError: not TOML, or options that are unknown, missing, of a wrong type or out of range.

    Example:
        >>> config = config_from_toml(Path("runs/age/config.toml").read_text(), TrainConfig)
    """
    return build_config(root_class, values_from_toml(text, root_class))


def values_from_toml(text: str, root_class: type) -> dict[str, Any]:
    """Read the flat values of the options that ``text`` sets, which need not be all.

    Raises:
        ConfigError: not TOML, unknown sections or keys, values of a wrong type; the message has all problems.
    """
    tables = parse_toml(text)
    fields, sections = config_fields(root_class), _sections(root_class)
    spellings = fields_by_spelling(fields)
    values, problems = {}, []
    for section, table in tables.items():
        if not isinstance(table, dict):
            problems.append(_misplaced(section, spellings, sections))
        elif section not in sections:
            problems.append(f"unknown section [{shortened(section)}]{_nearest(section, sections)}")
        else:
            for name, value in table.items():
                if name not in spellings or spellings[name].section != section:
                    problems.append(f"[{section}] " + _misplaced(name, spellings, sections))
                    continue
                try:
                    values[name] = _from_toml(value, spellings[name].kind)
                except _WrongType as error:
                    problems.append(f"[{section}] {name} = {shortened(repr(value))}: must be {error}")
    if problems:
        raise ConfigError(_few(problems))
    return merge_spellings(values, fields, str)


def parse_toml(text: str) -> dict[str, Any]:
    """Parse TOML; raise ConfigError for what is not TOML, or nested beyond any settings."""
    text = text.removeprefix("\ufeff")  # editors on Windows begin UTF-8 files with this mark
    if found := _DEEP_KEY.search(text):
        line = text.count("\n", 0, found.start()) + 1
        raise ConfigError(f"not valid settings: a key of more than {MAX_PARTS} parts (at line {line})")
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ConfigError("not valid settings: nested too deep") from error
    except ValueError as error:  # also for integers of thousands of digits
        raise ConfigError(f"not valid TOML: {shortened(error)}") from error


def is_toml(text: str) -> bool:
    """Return whether a text is TOML, of whatever settings."""
    try:
        parse_toml(text)
    except ConfigError:
        return False
    return True


class _WrongType(Exception):
    """Error of a value; its text is what the value should be."""


def _sections(root_class: type) -> dict[str, type]:
    hints = get_type_hints(root_class)
    sections = {field.name: hints[field.name] for field in dataclasses.fields(root_class)}
    for name, owner in sections.items():
        assert dataclasses.is_dataclass(owner), f"{root_class.__name__}.{name} is not a section dataclass"
    return sections


def _without_none(kind: Any) -> Any:
    if get_origin(kind) not in (Union, UnionType):
        return kind
    arms = [arm for arm in get_args(kind) if arm is not NoneType]
    assert len(arms) == 1, f"{kind}: an option has one type"
    return arms[0]


def _to_toml(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_to_toml(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _from_toml(value: Any, kind: Any) -> Any:
    if get_origin(kind) is tuple:
        if not isinstance(value, list):
            raise _WrongType("a list")
        return tuple(_from_toml(item, get_args(kind)[0]) for item in value)
    if get_origin(kind) is Literal:
        choice = choice_of(value, get_args(kind)) if isinstance(value, str) else None
        if choice is None:
            raise _WrongType("one of " + ", ".join(get_args(kind)))
        return choice
    if kind is float and type(value) in (int, float) and abs(value) <= MAX_NUMBER:
        return float(value)
    if kind is Path and isinstance(value, str) and value:
        return Path(value)
    if kind in (bool, int, str) and type(value) is kind:
        return value
    raise _WrongType(_WORDS[kind])


_WORDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a finite number",
    str: "a string",
    Path: "a path in quotes",
}


def _misplaced(name: str, fields: Mapping[str, ConfigField], sections: Iterable[str]) -> str:
    if name in fields:
        return f"{name} belongs in section [{fields[name].section}]"
    return f"unknown key {shortened(name)}{_nearest(name, [*fields, *sections])}"


def _few(problems: list[str]) -> str:
    more = len(problems) - MAX_PROBLEMS
    return "; ".join(problems[:MAX_PROBLEMS]) + (f"; and {more:,} more" if more > 0 else "")


def _nearest(name: str, known: Iterable[str]) -> str:
    known, name = list(known), name[:MAX_SHOWN]
    meant = option_called(name, known)
    nearest = [meant] if meant else difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {nearest[0]}?)" if nearest else ""
