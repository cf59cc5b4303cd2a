"""Headers, requests, responses and addresses as values."""

import pytest

from schemawire.errors import BadReply, ConfigurationInvalid
from schemawire.transport import Headers, Request, Response
from schemawire.transport.address import parse_addresses, target_of


async def one_shot() -> object:
    yield b"x"


def test_headers_are_found_in_any_case_and_keep_their_order() -> None:
    """Names differ by more than case; several values of one name are joined, and each can be had."""
    headers = Headers([("X-A", "1"), ("b", "2"), ("x-a", "3")])
    assert headers["x-A"] == "1, 3"
    assert headers.get_all("X-A") == ("1", "3")
    assert headers.get("c") is None
    assert "B" in headers
    assert (list(headers), len(headers)) == (["x-a", "b"], 2)
    assert headers.pairs == (("X-A", "1"), ("b", "2"), ("x-a", "3"))
    assert headers == Headers([("X-a", "1"), ("X-a", "3"), ("B", "2")])
    assert hash(headers) == hash(Headers([("X-a", "1"), ("X-a", "3"), ("B", "2")]))


def test_replaced_headers_leave_the_original_alone() -> None:
    """A copy has the new values in place of those of the same name."""
    headers = Headers({"A": "1", "B": "2"})
    assert headers.replaced({"a": "9"}).pairs == (("B", "2"), ("a", "9"))
    assert headers.pairs == (("A", "1"), ("B", "2"))
    assert headers.replaced({}) is headers


@pytest.mark.parametrize("pair", [("A", "1\r\nB: 2"), ("A", "1\n"), ("A", "\0"), ("A:", "1"), ("", "1"), ("A B", "1")])
def test_headers_cannot_smuggle_in_headers(pair: tuple[str, str]) -> None:
    """Line breaks and malformed names are refused before anything is sent."""
    with pytest.raises(ValueError, match="header"):
        Headers([pair])


def test_headers_are_strings() -> None:
    """Another type is the caller's mistake."""
    with pytest.raises(TypeError, match="int"):
        Headers({"A": 1})  # type: ignore[arg-type]  # the mistake


def test_secrets_stay_out_of_the_repr() -> None:
    """A header with credentials is named, not shown."""
    assert "s3cret" not in repr(Headers({"Authorization": "Bearer s3cret", "Cookie": "s3cret"}))


def test_replayability_is_answered_by_the_type() -> None:
    """Bytes, nothing and factories can be sent again, an iterable cannot."""
    assert Request(method="GET", url="http://x").is_replayable
    assert Request(method="POST", url="http://x", body=b"").is_replayable
    assert Request(method="POST", url="http://x", body=one_shot).is_replayable  # type: ignore[arg-type]  # bytes in truth
    assert not Request(method="POST", url="http://x", body=one_shot()).is_replayable  # type: ignore[arg-type]  # see above


def test_response_reads_json_and_text() -> None:
    """Bodies are decoded as they say they are."""
    headers = Headers({"Content-Type": "text/plain; charset=latin-1"})
    response = Response(status=200, headers=headers, body=b"\xe4", url="http://x")
    assert response.text() == "ä"
    assert Response(status=201, headers=Headers(), body=b'{"a": 1}', url="http://x").json() == {"a": 1}
    assert response.is_success


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 200_000])
def test_body_that_is_not_json_is_a_bad_reply(body: bytes) -> None:
    """The error says whose reply it was and how it begins."""
    response = Response(status=502, headers=Headers(), body=body, url="http://x/y")
    with pytest.raises(BadReply, match="http://x/y"):
        response.json()


@pytest.mark.parametrize("charset", ["nonsense", "utf-8"])
def test_body_that_is_not_text_is_a_bad_reply(charset: str) -> None:
    """An unknown or wrong charset is not guessed around."""
    headers = Headers({"Content-Type": f"text/plain; charset={charset}"})
    with pytest.raises(BadReply):
        Response(status=200, headers=headers, body=b"\xff", url="http://x").text()


@pytest.mark.parametrize(
    ("path", "params", "target"),
    [
        ("/a/b", None, "/a/b"),
        ("/a b/ü", None, "/a%20b/%C3%BC"),
        ("/a%2Fb", None, "/a%2Fb"),
        ("/a", {"q": "x y", "n": 1, "none": None, "t": True, "many": [1, 2]}, "/a?q=x+y&n=1&t=true&many=1&many=2"),
        ("/a", [("q", "1"), ("q", "2")], "/a?q=1&q=2"),
        ("/a", {"q": None}, "/a"),
    ],
)
def test_target_is_encoded(path: str, params: object, target: str) -> None:
    """What needs percent-encoding gets it once; absent values are left out."""
    assert target_of(path, params) == target  # type: ignore[arg-type]  # parametrized


@pytest.mark.parametrize("path", ["", "a", "http://evil/x", "/a?b=1", "/a#b", "/a\r\nX: y", "/a\0"])
def test_path_that_is_none_is_refused(path: str) -> None:
    """A path cannot change the host, hide a query or break the request line."""
    with pytest.raises(ValueError, match="path"):
        target_of(path)


def test_addresses_are_taken_apart() -> None:
    """Commas, spaces, trailing slashes and repeats make no difference; prefixes are kept."""
    assert parse_addresses(" http://a:1/ ,https://b/prefix/, http://a:1 ") == ("http://a:1", "https://b/prefix")
    assert parse_addresses(["http://[::1]:8084"]) == ("http://[::1]:8084",)
    assert parse_addresses("http+unix://%2Frun%2Fx.sock") == ("http+unix://%2Frun%2Fx.sock",)


@pytest.mark.parametrize(
    "address",
    [
        "",
        " , ",
        "a:1",
        "ftp://a",
        "http://",
        "http://a:99999",
        "http://a?x=1",
        "http://a#x",
        "http://a b",
        "http://[::1",
    ],
)
def test_malformed_address_is_refused(address: str) -> None:
    """The mistake is found where the client is made, not at the first call."""
    with pytest.raises(ConfigurationInvalid):
        parse_addresses(address)


def test_password_in_an_address_is_not_repeated() -> None:
    """The refusal of credentials in an address does not show them."""
    with pytest.raises(ConfigurationInvalid) as caught:
        parse_addresses("http://me:s3cret@a")
    assert "s3cret" not in str(caught.value)
