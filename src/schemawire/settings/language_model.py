"""The language models to ask: `SCHEMAWIRE_LLM_*`, read the same way by the service, the handler and the command line.

Plain values; knows nothing of the analyser that is made from them.
"""

from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import Field, field_validator

from schemawire.errors import ConfigurationInvalid
from schemawire.settings.layered import LayeredSettings
from schemawire.settings.sources import Layer, env_file_layer, environment_layer, toml_layer

PREFIX = "SCHEMAWIRE_"
TABLE = "service"
_SECRETS = frozenset({"llm_api_key"})
_NOBODY = ("", "none")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """One language model, as the settings name it."""

    kind: str
    model: str
    base_url: str = ""
    api_key: str = field(default="", repr=False)
    mode: str | None = None
    input_price: float = 0.0
    output_price: float = 0.0


class LanguageModelFields(LayeredSettings):
    """The settings of language models; each list of names has its values in the same order, separated by commas."""

    llm_provider: str = Field("none", max_length=200)
    """none, openai or anthropic; several with commas: the next one is asked where one fails."""
    llm_base_url: str = Field("", max_length=8192)
    """Where each is, such as http://localhost:11434/v1; empty: the provider's own address."""
    llm_model: str = Field("", max_length=1000)
    """The name of each model."""
    llm_api_key: str = Field("", repr=False, max_length=8192)
    """The key of each; empty where none is wanted."""
    llm_mode: str = Field("", max_length=200)
    """How each is asked for JSON: json_schema, tools, json_object or prompt; empty: found out."""
    llm_input_price: str = Field("", max_length=200)
    """The price of a million tokens sent, for each."""
    llm_output_price: str = Field("", max_length=200)
    """The price of a million tokens received, for each."""
    llm_deadline: float = Field(60.0, ge=0.1, le=3_600)
    """Seconds for one description, all rounds and models together."""
    llm_silence: float = Field(30.0, ge=0.1, le=3_600)
    """Seconds without a byte after which an attempt is given up."""
    llm_rounds: int = Field(3, ge=1, le=10)
    """How often a model is asked to correct its draft, the first time included."""
    llm_max_tokens: int = Field(8_192, ge=64, le=1_000_000)
    """Of one answer."""

    @classmethod
    def _layers(cls, given: Layer, fields: frozenset[str]) -> list[Layer]:
        variables = frozenset(f"{PREFIX.lower()}{name}" for name in fields)
        return [
            given,
            _unprefixed(environment_layer(PREFIX, variables), PREFIX),
            _unprefixed(env_file_layer(PREFIX, variables), PREFIX),
            _unprefixed(toml_layer(TABLE, frozenset(f"{TABLE}_{name}" for name in fields)), f"{TABLE}_"),
        ]

    @classmethod
    def _variable(cls, name: str) -> str:
        return f"{PREFIX}{name.upper()}"

    @classmethod
    def _given(cls, name: str, value: object) -> str:
        return "the given value" if name in _SECRETS else repr(value)

    @field_validator("llm_provider")
    @classmethod
    def _check_provider(cls, value: str) -> str:
        for name in _listed(value):
            if name.lower() not in (*_NOBODY, "openai", "anthropic"):
                raise ValueError("not a provider: use none, openai or anthropic")
        return value

    @property
    def language_models(self) -> tuple[ModelSettings, ...]:
        """The models to ask, the preferred one first; empty where none is set.

        Raises:
            ConfigurationInvalid: a list is longer than that of the providers, or a price is no number.
        """
        kinds = [] if self.llm_provider.strip().lower() in _NOBODY else _listed(self.llm_provider)
        lists = {
            "model": self.llm_model, "base_url": self.llm_base_url, "api_key": self.llm_api_key, "mode": self.llm_mode,
            "input_price": self.llm_input_price, "output_price": self.llm_output_price,
        }  # fmt: skip
        values = {name: _aligned(name, text, len(kinds)) for name, text in lists.items()} if kinds else {}
        return tuple(_model(kind, {name: row[at] for name, row in values.items()}) for at, kind in enumerate(kinds))

    def language_model_limits(self) -> dict[str, Any]:
        """Return the limits of one question, by the names of the analyser's options."""
        return {
            "deadline": self.llm_deadline,
            "silence": min(self.llm_silence, self.llm_deadline),
            "max_rounds": self.llm_rounds,
            "max_tokens": self.llm_max_tokens,
        }


class LanguageModelSettings(LanguageModelFields):
    """The settings of language models alone, for who runs no service.

    Raises:
        ConfigurationInvalid: values have the wrong type or are out of range.
    """


def _unprefixed(layer: Layer, prefix: str) -> Layer:
    return replace(layer, values={name[len(prefix) :]: value for name, value in layer.values.items()})


def _listed(text: str) -> list[str]:
    return [item.strip() for item in text.split(",")] if text.strip() else []


def _aligned(name: str, text: str, count: int) -> list[str]:
    items = _listed(text)
    if len(items) > count:
        raise ConfigurationInvalid(
            f"{PREFIX}LLM_{name.upper()} names {len(items)}, but there are {count} providers",
            fix="Write as many, separated by commas, as SCHEMAWIRE_LLM_PROVIDER has.",
        )
    return items + [""] * (count - len(items))


def _model(kind: str, values: dict[str, str]) -> ModelSettings:
    if not values["model"]:
        raise ConfigurationInvalid(f"the language model of {kind} has no name", fix="Set SCHEMAWIRE_LLM_MODEL.")
    return ModelSettings(
        kind=kind.lower(), model=values["model"], base_url=values["base_url"], api_key=values["api_key"],
        mode=values["mode"] or None, input_price=_price(values["input_price"]),
        output_price=_price(values["output_price"]),
    )  # fmt: skip


def _price(text: str) -> float:
    try:
        return float(text or 0)
    except ValueError:
        raise ConfigurationInvalid(f"{text[:20]!r} is no price of a million tokens", fix="Write a number.") from None
