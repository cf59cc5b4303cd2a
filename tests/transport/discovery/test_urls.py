"""Which discovery an address asks for."""

from pathlib import Path

import pytest

from schemawire.errors import ConfigurationInvalid
from schemawire.settings.client import ClientSettings
from schemawire.transport import Client, Place
from schemawire.transport.discovery import (
    ConsulDiscovery,
    DnsDiscovery,
    EtcdDiscovery,
    FileDiscovery,
    KubernetesDiscovery,
    SrvDiscovery,
    StaticDiscovery,
    discovery_of,
)


@pytest.mark.parametrize(
    ("address", "kind", "name"),
    [
        ("http://a:1,http://b:2#weight=2", StaticDiscovery, "static"),
        ("file:/etc/back.list", FileDiscovery, "file:/etc/back.list"),
        ("file:///etc/a%20b", FileDiscovery, "file:/etc/a b"),
        ("dns+http://back.example:8084/base", DnsDiscovery, "dns:back.example"),
        ("dns+http://back.example?server=127.0.0.1:53", DnsDiscovery, "dns:back.example"),
        ("srv+https://_http._tcp.back.example", SrvDiscovery, "srv:_http._tcp.back.example"),
        ("etcd+http://e1:2379,e2:2379/services/back/", EtcdDiscovery, "etcd:/services/back/"),
        ("consul+http://localhost:8500/back?tag=v1&dc=eu", ConsulDiscovery, "consul:back"),
        ("k8s+https://10.0.0.1:6443/prod/back:http?token_file=", KubernetesDiscovery, "kubernetes:prod/back"),
    ],
)
def test_scheme_names_the_source(address: str, kind: type, name: str) -> None:
    """Every source can be given as one address, and so as a setting."""
    source = discovery_of(address)
    assert type(source) is kind
    assert source.name == name
    assert discovery_of(source) is source
    assert type(discovery_of(ClientSettings(backend_service_url=address).endpoints)) is kind


@pytest.mark.parametrize(
    "address",
    [
        "",
        ",",
        "gopher://a",
        "zookeeper+http://a/b",
        "file:",
        "dns+https://back.example",
        "dns+http://back.example:99999",
        "dns+http://",
        "dns+http://a?colour=red",
        "srv+http://_a.example:80",
        "srv+ftp://_a.example",
        "etcd+http://e1:2379",
        "etcd+ftp://e1:2379/a",
        "consul+http://localhost:8500",
        "consul+http://localhost:8500/a/b",
        "consul+http://localhost:8500/a?scheme=ftp",
        "consul+http://user:secret@localhost:8500/a",
        "k8s+https://a/only-namespace",
        "k8s+https://a/ns/..%2f..%2fsecrets",
        "k8s+https://a/ns/svc#x",
    ],
)
def test_malformed_address_is_refused(address: str) -> None:
    """What cannot be followed is refused before the first call, and no secret is repeated."""
    with pytest.raises(ConfigurationInvalid) as caught:
        discovery_of(address)
    assert "secret@" not in str(caught.value)
    with pytest.raises((ConfigurationInvalid, ValueError)):
        _ = ClientSettings(backend_service_url=address).endpoints


def test_discovery_stands_alone() -> None:
    """Beside fixed addresses nobody could say which of them the discovery replaces."""
    with pytest.raises(ConfigurationInvalid, match="cannot stand beside"):
        discovery_of(["http://a", "file:/etc/back.list"])


def test_places_may_be_given_as_values() -> None:
    """What the suffix writes can be built too, and mixed with texts."""
    source = discovery_of([Place(url="http://a", weight=2.0), "http://b#priority=1", "http://a"])
    assert isinstance(source, StaticDiscovery)
    assert source.places == (Place(url="http://a", weight=2.0), Place(url="http://b", priority=1))


def test_missing_authority_file_is_refused_at_once(tmp_path: Path) -> None:
    """A TLS file that is not there would fail on every look; the client says so when it is made."""
    with pytest.raises(ConfigurationInvalid, match="TLS"):
        Client(f"etcd+https://e1:2379/a?ca_file={tmp_path / 'none.pem'}")


@pytest.mark.parametrize(
    ("address", "warns"),
    [
        ("dns+http://back.example", True),
        ("srv+http://_http._tcp.back.example", True),
        ("srv+https://_http._tcp.back.example", False),
        ("http://back.example#weight=2", True),
        ("https://back.example#weight=2", False),
        ("dns+http://localhost", False),
    ],
)
def test_key_on_an_open_way_is_warned_of(address: str, warns: bool) -> None:
    """A discovery hides from nobody that the key travels unencrypted."""
    issues = ClientSettings(backend_service_url=address, backend_api_key="k").issues()
    assert any("unencrypted" in issue.message for issue in issues) == warns
