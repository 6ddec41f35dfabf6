"""adapters.destinations.endpoint_addresses and s3_options: where a user's endpoint may lead."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from adapters.destinations.endpoint_addresses import may_call
from adapters.destinations.s3_options import check_options
from domain.errors import InvalidInput

OWN = (ip_network("10.2.0.0/16"), ip_network("fd00::/8"))
GIVEN = {"bucket": "frames"}
KEYS = {"access_key": "AKIA", "secret_key": "not/to+be=seen"}


@pytest.mark.parametrize("address", ["8.8.8.8", "2001:4860:4860::8888", "64:ff9b::808:808", "::ffff:8.8.8.8"])
def test_a_public_address_may_be_called_with_encryption_only(address: str) -> None:
    assert may_call(address, (), encrypted=True)
    assert not may_call(address, (), encrypted=False)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.0.0.1", "172.16.3.4", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "ff02::1",
        "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "2002:7f00:1::", "2001:db8::1",
    ],
)  # fmt: skip
def test_what_is_not_public_may_not(address: str) -> None:
    assert not may_call(address, (), encrypted=True)
    assert not may_call(address, (), encrypted=False)


def test_what_the_operator_allows_may_be_called_in_any_way() -> None:
    assert may_call("10.2.3.4", OWN, encrypted=False)
    assert may_call("::ffff:10.2.3.4", OWN, encrypted=True)
    assert may_call("fd00::5", OWN, encrypted=False)
    assert not may_call("10.3.0.1", OWN, encrypted=True)


@pytest.mark.parametrize(
    "endpoint",
    ["", "https://s3.example.org", "https://s3.example.org:9000/", "https://x.example.org/storage/v1/s3",
     "http://10.2.0.9:9000", "https://[2001:4860:4860::8888]:9000", "http://minio:9000"],
)  # fmt: skip
def test_s05_an_endpoint_that_can_be_right_is_taken(endpoint: str) -> None:
    check_options({**GIVEN, "endpoint": endpoint}, KEYS, OWN)


@pytest.mark.parametrize(
    "endpoint",
    ["s3.example.org", "ftp://s3.example.org", "file:///etc/passwd", "https://", "https://user:pw@s3.example.org",
     "https://s3.example.org?x=1", "https://s3.example.org?", "https://s3.example.org/#a", "https://s3.example.org/../x",
     "https://s3.example.org:99999", "https://s3.exa mple.org", "https://s3.example.org\r\nX: y", "https://[::1",
     "https://127.0.0.1", "https://[::1]:9000", "https://169.254.169.254", "http://8.8.8.8", "https://[::ffff:10.9.9.9]"],
)  # fmt: skip
def test_s05_an_endpoint_that_cannot_be_right_is_refused(endpoint: str) -> None:
    with pytest.raises(InvalidInput, match="endpoint") as raised:
        check_options({**GIVEN, "endpoint": endpoint}, KEYS, OWN)
    assert raised.value.field == "credentials"


@pytest.mark.parametrize(
    "change",
    [{"bucket": ""}, {"bucket": "a/b"}, {"bucket": ".."}, {"bucket": "arn:aws:s3:::x"}, {"bucket": "x?y"},
     {"region": "evil.example/"}, {"region": "eu west"}, {"region": "-"}],
)  # fmt: skip
def test_bucket_and_region_are_names_and_nothing_else(change: dict[str, str]) -> None:
    with pytest.raises(InvalidInput):
        check_options(GIVEN | change, KEYS, ())


@pytest.mark.parametrize("name", ["access_key", "secret_key"])
@pytest.mark.parametrize("value", ["", "two words", "line\nbreak", "umläut"])
def test_keys_are_there_and_no_refusal_shows_them(name: str, value: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        check_options(GIVEN, KEYS | {name: value}, ())
    assert KEYS["secret_key"] not in str(raised.value)
