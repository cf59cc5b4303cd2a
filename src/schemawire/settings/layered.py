"""What the client's and the service's settings share: layers merged into one source, and mistakes told in words."""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from schemawire.errors import ConfigurationInvalid
from schemawire.settings.sources import Layer, MergedSource, merge

OURS = frozenset({"origins", "unknown"})
"""Fields that are no settings."""


class LayeredSettings(BaseSettings):
    """Settings that know where each value came from; a derived class names its layers and its mistakes.

    Raises:
        ConfigurationInvalid: values have the wrong type or are out of range; all of them are named.
    """

    model_config = SettingsConfigDict(frozen=True, extra="forbid")

    origins: dict[str, str] = Field(default_factory=dict, repr=False, exclude=True)
    """The source of each value that is not a default, by field name."""
    unknown: tuple[str, ...] = Field((), repr=False, exclude=True)
    """Names with the prefix that are no setting."""

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            problems = error.errors(include_url=False, include_context=False)
            raise ConfigurationInvalid("; ".join(self._in_words(problem) for problem in problems)) from None

    @classmethod
    def _layers(cls, given: Layer, fields: frozenset[str]) -> list[Layer]:
        """Return the layers, strongest first, of which `given` is one."""
        raise NotImplementedError(f"{cls.__name__} must name its layers")

    @classmethod
    def _variable(cls, name: str) -> str:
        """Return the environment variable of a field."""
        return name.upper()

    @classmethod
    def _given(cls, name: str, value: object) -> str:
        """Return a value as a message may show it."""
        return repr(value)

    @classmethod
    def _in_words(cls, problem: Mapping[str, Any]) -> str:
        name, message = str(problem["loc"][0]), str(problem["msg"])
        if problem["type"] == "extra_forbidden":
            return f"{name} is no setting"
        return f"{cls._variable(name)}={cls._given(name, problem['input'])}: {message[0].lower()}{message[1:]}"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the layers merged into one source, so that the origin of each value is known."""
        given = {name: value for name, value in init_settings().items() if value is not None}
        inherited = given.pop("origins", {})
        given.pop("unknown", None)
        merged = merge(cls._layers(Layer(label="argument", values=given), frozenset(cls.model_fields) - OURS))
        merged.origins.update({name: label for name, label in inherited.items() if name in given})
        return (MergedSource(settings_cls, merged),)

    @classmethod
    def load(cls, **arguments: Any) -> Self:
        """Return the settings that hold now, `arguments` put over every other source; `None` leaves one alone.

        Raises:
            ConfigurationInvalid: see the class; also a file that cannot be read, or an unknown argument.
        """
        return cls(**arguments)
