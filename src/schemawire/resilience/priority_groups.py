"""How much of the load each group of endpoints gets while the groups before it are partly down; plain arithmetic."""

from collections.abc import Sequence

from schemawire.resilience.endpoint_state import EndpointState


def group_shares(health: Sequence[float], overprovision: float) -> list[float]:
    """Return each group's share of the load, which add up to 1.

    Args:
        health: the share of usable endpoints of each group from 0 to 1, most preferred group first; not empty.
        overprovision: how much more than its share a usable endpoint can take; 1.4 lets a group keep all its load
            until less than about 72 % of it are usable.

    *Source:* Envoy, priority levels; with nothing usable at all, the first group gets everything.
    """
    able = [min(1.0, share * overprovision) for share in health]
    total = min(1.0, sum(able))
    if total <= 0.0:
        return [1.0] + [0.0] * (len(health) - 1)
    shares, left = [], 1.0
    for ability in able:
        share = min(left, ability / total)
        shares.append(share)
        left -= share
    return shares


def draw_group(
    endpoints: Sequence[EndpointState], *, overprovision: float, now: float, draw: float
) -> list[EndpointState]:
    """Return all endpoints of the group that a call goes to, whose draw is `draw` (from 0 up to 1)."""
    groups: dict[int, list[EndpointState]] = {}
    for state in endpoints:
        groups.setdefault(state.group, []).append(state)
    members = [groups[number] for number in sorted(groups)]
    health = [sum(state.is_usable(now) for state in group) / len(group) for group in members]
    for group, share in zip(members, group_shares(health, overprovision), strict=True):
        if draw < share:
            return group
        draw -= share
    return members[0]
