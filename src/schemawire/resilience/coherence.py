"""What the policies of one pipeline must agree on, checked when the pipeline is built."""

from collections.abc import Sequence

from schemawire.errors import ConfigurationInvalid
from schemawire.resilience.call import Policy


def require_coherent(name: str, policies: Sequence[Policy]) -> None:
    """Check the policies of the pipeline `name`, given outside in, against each other.

    Raises:
        ConfigurationInvalid: they contradict each other; the message lists every contradiction.
    """
    complaints = list(_complaints(policies))
    if complaints:
        raise ConfigurationInvalid(
            f"pipeline {name!r} contradicts itself: " + "; ".join(complaints),
            fix="Change one of the options named on each side.",
        )


def _complaints(policies: Sequence[Policy]) -> list[str]:
    seen = {id(policy) for policy in policies}
    return ["one policy stands in it twice"] if len(seen) < len(policies) else []
