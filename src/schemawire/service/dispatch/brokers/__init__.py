"""Three message brokers with one face: a queue that is published to and subscribed to; knows nothing of operations.

One file per broker; each is loaded only when its address is used, because each needs an extra of its own.
"""

from schemawire.service.dispatch.brokers.letters import Broker, Handle, Letter, Subscription, Verdict
from schemawire.service.dispatch.brokers.link import BrokerLink, LinkStatistics

__all__ = ["Broker", "BrokerLink", "Handle", "Letter", "LinkStatistics", "Subscription", "Verdict"]
