"""What settings say about themselves: each value with its origin, and what is wrong or unwise; reads nothing itself."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigurationIssue:
    """Something about the settings that is wrong (`error`) or unwise (`warning`)."""

    level: str
    name: str
    """The environment variable."""
    message: str
    fix: str

    def __str__(self) -> str:
        return f"{self.name}: {self.message} {self.fix}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedSetting:
    """One setting, its value in words (secrets hidden), and where it came from."""

    name: str
    value: str
    source: str
