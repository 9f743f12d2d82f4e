"""Configurations there and back: flat values, TOML, and errors."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import pytest

from aam_data.options.alias import Alias
from aam_train.options.recipe_configs import PretrainConfig, TrainConfig
from aam_train.options.toml import (
    ConfigError,
    build_config,
    config_fields,
    config_from_toml,
    config_to_toml,
    values_from_toml,
)


@dataclass(frozen=True)
class InputOptions:
    table: Annotated[Path, "common"]
    tree: Annotated[Path | None, "common"] = None
    na_value: tuple[str, ...] = ()
    limit: Annotated[int, Alias("token_limit", "max_tokens")] = 1024

    def __post_init__(self) -> None:
        if self.limit < 1:
            raise ValueError(f"--limit {self.limit}: must be 1 or more")


@dataclass(frozen=True)
class EngineOptions:
    rate: Annotated[Annotated[float, "common"], Alias("lr")] = 1e-4
    mode: Literal["fast", "exact"] = "fast"
    widths: tuple[int, ...] = (64, 32)
    resume: bool = True

    def __post_init__(self) -> None:
        if self.rate <= 0:
            raise ValueError(f"--rate {self.rate}: must be above 0")


@dataclass(frozen=True)
class RootConfig:
    input: InputOptions
    engine: EngineOptions

    def __post_init__(self) -> None:
        if self.input.tree is None and self.engine.mode == "exact":
            raise ValueError("--mode exact needs --tree")


@dataclass(frozen=True)
class AmbiguousConfig:
    first: EngineOptions
    second: EngineOptions


def test_fields_carry_type_tier_and_default() -> None:
    fields = config_fields(RootConfig)
    assert list(fields) == ["table", "tree", "na_value", "limit", "rate", "mode", "widths", "resume"]
    table, tree, widths = fields["table"], fields["tree"], fields["widths"]
    assert (table.section, table.owner, table.kind, table.common) == ("input", InputOptions, Path, True)
    assert table.required
    assert table.default is dataclasses.MISSING
    assert (tree.kind, tree.required, tree.default) == (Path, False, None)
    assert (widths.kind, widths.common, widths.default) == (tuple[int, ...], False, (64, 32))
    assert fields["na_value"].flag == "--na-value"
    assert (fields["limit"].kind, fields["limit"].common) == (int, False)
    assert fields["limit"].aliases == ("token_limit", "max_tokens")
    assert (fields["rate"].kind, fields["rate"].common, fields["rate"].aliases) == (float, True, ("lr",))


def test_a_name_in_two_sections_is_our_bug() -> None:
    with pytest.raises(AssertionError, match="rate is declared in two sections"):
        config_fields(AmbiguousConfig)


@pytest.mark.parametrize(
    "config",
    [
        RootConfig(InputOptions(Path("t.biom")), EngineOptions()),
        RootConfig(
            InputOptions(Path("p\u00e4th/t 1.biom"), Path("tree.nwk"), ("n/a", '"quoted"\n'), 7),
            EngineOptions(1e-30, "exact", (), False),
        ),
    ],
)
def test_toml_there_and_back(config: RootConfig) -> None:
    assert config_from_toml(config_to_toml(config), RootConfig) == config


def test_toml_has_a_table_a_section_and_no_none() -> None:
    text = config_to_toml(RootConfig(InputOptions(Path("t.biom")), EngineOptions()))
    assert tomllib.loads(text) == {
        "input": {"table": "t.biom", "na_value": [], "limit": 1024},
        "engine": {"rate": 1e-4, "mode": "fast", "widths": [64, 32], "resume": True},
    }


def test_toml_may_set_a_part() -> None:
    values = values_from_toml("[engine]\nrate = 1\nwidths = [8]", RootConfig)
    assert values == {"rate": 1.0, "widths": (8,)}
    assert isinstance(values["rate"], float)


def test_toml_may_begin_with_the_mark_of_windows_editors() -> None:
    assert values_from_toml("\ufeff[engine]\nrate = 1", RootConfig) == {"rate": 1.0}


def test_words_of_the_field_become_the_option_s_own() -> None:
    assert values_from_toml("[engine]\nmode = 'FAST'", RootConfig) == {"mode": "fast"}
    values = values_from_toml("[phylogeny]\nunifrac_metric = 'weighted-unifrac'", PretrainConfig)
    assert values == {"unifrac_metric": "weighted_unnormalized"}


def test_an_option_may_be_required_by_the_root_only() -> None:
    assert config_fields(TrainConfig)["metadata"].required
    assert not config_fields(PretrainConfig)["metadata"].required


@dataclass(frozen=True)
class ShadowedOptions:
    lr: float = 1.0


@dataclass(frozen=True)
class ShadowedConfig:
    engine: EngineOptions
    other: ShadowedOptions


def test_an_alias_is_not_the_name_of_another_option() -> None:
    with pytest.raises(AssertionError, match="lr is declared in two sections"):
        config_fields(ShadowedConfig)


@pytest.mark.parametrize("text", ["token_limit = 7", "max_tokens = 7", "token_limit = 7\nlimit = 7"])
def test_older_keys_are_read(text: str) -> None:
    assert values_from_toml(f"[input]\n{text}", RootConfig) == {"limit": 7}
    config = config_from_toml(f"[input]\ntable = 't'\n{text}\n[engine]\nlr = 1", RootConfig)
    assert config == RootConfig(InputOptions(Path("t"), limit=7), EngineOptions(1.0))
    assert "token_limit" not in config_to_toml(config)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[input]\ntoken_limit = 7\nlimit = 8", "token_limit is an older spelling of limit; use one of them"),
        ("[input]\ntoken_limit = true", "[input] token_limit = True: must be a whole number"),
        ("[engine]\ntoken_limit = 7", "[engine] token_limit belongs in section [input]"),
    ],
)
def test_errors_of_older_keys(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        values_from_toml(text, RootConfig)
    assert str(caught.value) == message


def test_all_missing_options_are_named() -> None:
    with pytest.raises(ConfigError, match=r"^missing --table$"):
        build_config(RootConfig, {})


def test_all_sections_speak_before_the_root_does() -> None:
    values = {"table": Path("t"), "limit": 0, "rate": -1.0, "mode": "exact"}
    with pytest.raises(ConfigError) as caught:
        build_config(RootConfig, values)
    assert str(caught.value) == "--limit 0: must be 1 or more; --rate -1.0: must be above 0"
    with pytest.raises(ConfigError, match="--mode exact needs --tree"):
        build_config(RootConfig, {"table": Path("t"), "mode": "exact"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[engine]\nrat = 1", r"[engine] unknown key rat (did you mean rate?)"),
        ("[engin]\nrate = 1", r"unknown section [engin] (did you mean engine?)"),
        ("[input]\nrate = 1", r"[input] rate belongs in section [engine]"),
        ("rate = 1", r"rate belongs in section [engine]"),
        ("[engine]\nrate = nan", r"[engine] rate = nan: must be a finite number"),
        ("[engine]\nrate = true", r"[engine] rate = True: must be a finite number"),
        ("[engine]\nmode = 'slow'", r"[engine] mode = 'slow': must be one of fast, exact"),
        ("[engine]\nwidths = 64", r"[engine] widths = 64: must be a list"),
        ("[engine]\nwidths = [64.0]", r"[engine] widths = [64.0]: must be a whole number"),
        ("[engine]\nresume = 1", r"[engine] resume = 1: must be true or false"),
        ("[input]\nlimit = true", r"[input] limit = True: must be a whole number"),
        ("[input]\ntable = ''", r"[input] table = '': must be a path in quotes"),
        ("[input]\nna_value = [1]", r"[input] na_value = [1]: must be a string"),
        ("[input\n", r"not valid TOML"),
    ],
)
def test_refused_toml(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        values_from_toml(text, RootConfig)
    assert message in str(caught.value)


def test_all_problems_of_a_file_at_once() -> None:
    with pytest.raises(ConfigError, match=r"rat .*; .*mode = 'slow'.*; unknown section \[x\]"):
        values_from_toml("[engine]\nrat = 1\nmode = 'slow'\n[x]\n", RootConfig)


def test_reading_options_imports_no_library() -> None:
    code = (
        "import sys; import aam_train.options.toml;"
        "print(sorted({'torch', 'numpy', 'pandas', 'tomli_w', 'aam_models'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


BROKEN = {
    "nested arrays": ("[input]\ntable = " + "[" * 2000 + "]" * 2000, "nested too deep"),
    "nested tables": ("[input]\ntable = " + "{a = " * 2000 + "1" + "}" * 2000, "nested too deep"),
    "a key of many parts": ("a" + ".a" * 100_000 + " = 1", "a key of more than 100 parts .at line 1"),
    "quoted parts": ("[input]\n" + " . ".join(['"a b"', "'c'"] * 5_000) + " = 1", "100 parts .at line 2"),
    "a header of many parts": ("[" + "a." * 100_000 + "a]", "a key of more than 100 parts"),
    "inline": ("[input]\ntable = {" + "a." * 100_000 + "a = 1}", "a key of more than 100 parts"),
    "an integer of many digits": ("[input]\nlimit = 1" + "0" * 5000, "not valid TOML"),
    "a large integer": ("[input]\nlimit = 1" + "0" * 100, r"--limit .*digits.: must be at most 1,000,000,000,000"),
    "a large number": ("[engine]\nrate = 1e300\n[input]\ntable = 'a'", "rate = 1e[+]300: must be a finite number"),
    "NUL in a path": ('[input]\ntable = "a\\u0000b"', "--table a\0b: has a NUL character. Remove it"),
    "NUL in a list": ('[input]\ntable = "a"\nna_value = ["b", "\\u0000"]', "--na-value .*has a NUL character"),
    "NUL in the text": ("[input]\ntable = 'a\0'", "not valid TOML"),
    "a long key": ("[input]\n" + "k" * 100_000 + " = 1", "unknown key k{40}[.]{3}k{20}"),
    "a long section": ("[" + "k" * 100_000 + "]", r"unknown section .k{40}[.]{3}k{20}"),
    "a long value": ("[input]\nlimit = '" + "v" * 100_000 + "'", "limit = 'v+[.]{3}v+': must be a whole number"),
    "many problems": ("[input]\n" + "".join(f"k{n} = 1\n" for n in range(1000)), "; and 980 more"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_settings_beyond_bounds_are_one_short_line(case: str) -> None:
    text, message = BROKEN[case]
    with pytest.raises(ConfigError, match=message) as caught:
        config_from_toml(text, RootConfig)
    assert len(str(caught.value)) < 2000


def test_long_values_are_no_keys_of_many_parts() -> None:
    path = "/".join(f"v1.{n}.tar.gz" for n in range(2000))
    text = f"[input]\ntable = '{path}'\nna_value = ['{'.'.join('ab')}']"
    assert config_from_toml(text + "\n[engine]", RootConfig).input.table == Path(path)


def test_text_that_is_not_unicode_cannot_be_stored() -> None:
    config = RootConfig(InputOptions(Path("caf\udce9.biom")), EngineOptions())
    with pytest.raises(ConfigError, match=r"--table caf.*: not UTF-8, and the settings of a run are stored in UTF-8"):
        config_to_toml(config)
