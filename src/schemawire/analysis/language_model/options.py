"""Which language models to ask, and within which limits; knows no wire."""

from dataclasses import dataclass, field
from typing import Literal, get_args
from urllib.parse import urlsplit

from schemawire.errors import ConfigurationInvalid

ProviderKind = Literal["openai", "anthropic"]
Mode = Literal["json_schema", "tools", "json_object", "prompt"]

MODES: tuple[Mode, ...] = get_args(Mode)
"""The ways to ask for JSON, the surest first."""
ADDRESSES: dict[ProviderKind, str] = {
    "openai": "https://api.openai.com/v1",
    "anthropic": "https://api.anthropic.com",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LlmProvider:
    """One language model at one address.

    Args:
        kind: which wire it speaks; most servers, local ones too, speak that of OpenAI.
        base_url: where it is, up to but without `/chat/completions` or `/v1/messages`; the provider's own if empty.
        model: its name there.
        api_key: sent with each request, never logged; empty where none is wanted.
        mode: how JSON is asked for; `None` tries one after the other and remembers what worked.
        input_price: of a million tokens sent, in any currency, from 0.
        output_price: of a million tokens received.

    Raises:
        ConfigurationInvalid: a value is missing, malformed or out of range.
    """

    kind: ProviderKind
    model: str
    base_url: str = ""
    api_key: str = field(default="", repr=False)
    mode: Mode | None = None
    input_price: float = 0.0
    output_price: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in ADDRESSES:
            raise ConfigurationInvalid(f"the language model's provider is {self.kind!r}: use openai or anthropic")
        if not self.model.strip():
            raise ConfigurationInvalid("the language model has no name", fix="Set SCHEMAWIRE_LLM_MODEL.")
        if self.mode is not None and self.mode not in MODES:
            raise ConfigurationInvalid(f"the language model's mode is {self.mode!r}: use one of {', '.join(MODES)}")
        if not (self.input_price >= 0 and self.output_price >= 0):
            raise ConfigurationInvalid("a price of tokens is below 0")
        _check_address(self.address)
        if not self.api_key.isascii() or (self.api_key and not self.api_key.isprintable()):
            raise ConfigurationInvalid("the language model's key holds what no HTTP header can carry")

    @property
    def address(self) -> str:
        """The base address, the provider's own where none was given."""
        return (self.base_url or ADDRESSES[self.kind]).rstrip("/")

    @property
    def label(self) -> str:
        """What messages and statistics call it: the model at the host, without any secret."""
        return f"{self.model} at {urlsplit(self.address).netloc.rpartition('@')[2]}"


def _check_address(address: str) -> None:
    try:
        parts = urlsplit(address)
        is_usable = parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.query
        is_usable = is_usable and "@" not in parts.netloc
        _ = parts.port
    except ValueError:
        is_usable = False
    if not is_usable:
        raise ConfigurationInvalid(
            "the language model's address is malformed, or holds a user name or query",
            fix="Write it like http://localhost:11434/v1, and give the key beside it.",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LlmOptions:
    """The limits of one question to a language model, all its rounds and providers together.

    Args:
        deadline: seconds for everything, 0.1 to 3600; when it has passed, the offline result stands.
        silence: seconds without a byte after which an attempt is given up, 0.1 to 3600.
        max_rounds: how often the model is asked, the first time included, 1 to 10.
        max_retries: further attempts of a request that failed on its way, 0 to 10.
        max_tokens: of one answer, 64 to 1,000,000.
        max_answer_bytes: a larger reply is refused unread, from 1024.
        max_prompt_length: characters of a description that is still sent, from 100.
    """

    deadline: float = 60.0
    silence: float = 30.0
    max_rounds: int = 3
    max_retries: int = 1
    max_tokens: int = 8_192
    max_answer_bytes: int = 2_000_000
    max_prompt_length: int = 100_000

    def __post_init__(self) -> None:
        ranges: dict[str, tuple[float, float]] = {
            "deadline": (0.1, 3_600), "silence": (0.1, 3_600), "max_rounds": (1, 10), "max_retries": (0, 10),
            "max_tokens": (64, 1_000_000), "max_answer_bytes": (1_024, 1 << 30), "max_prompt_length": (100, 10_000_000),
        }  # fmt: skip
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise ConfigurationInvalid(f"{name} of the language model is {value!r}: use {low:g} to {high:g}")
