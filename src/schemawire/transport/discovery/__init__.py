"""Where the endpoints of a service are: one file per source behind one protocol; knows neither calls nor health."""

from schemawire.transport.discovery.arrange import arranged
from schemawire.transport.discovery.consul import ConsulDiscovery
from schemawire.transport.discovery.dns import DnsDiscovery, SrvDiscovery
from schemawire.transport.discovery.etcd import EtcdDiscovery
from schemawire.transport.discovery.file import FileDiscovery
from schemawire.transport.discovery.kubernetes import KubernetesDiscovery
from schemawire.transport.discovery.options import DiscoveryConfig
from schemawire.transport.discovery.place import Listing, Place, parse_place, parse_places
from schemawire.transport.discovery.source import Discovery
from schemawire.transport.discovery.static import StaticDiscovery
from schemawire.transport.discovery.urls import checked_addresses, discovery_of, is_discovery_address
from schemawire.transport.discovery.watcher import DiscoveryStatistics, Watcher

__all__ = [
    "ConsulDiscovery",
    "Discovery",
    "DiscoveryConfig",
    "DiscoveryStatistics",
    "DnsDiscovery",
    "EtcdDiscovery",
    "FileDiscovery",
    "KubernetesDiscovery",
    "Listing",
    "Place",
    "SrvDiscovery",
    "StaticDiscovery",
    "Watcher",
    "arranged",
    "checked_addresses",
    "discovery_of",
    "is_discovery_address",
    "parse_place",
    "parse_places",
]
