"""Webhooks reach public addresses and those that the operator allows, whatever names say and however receivers answer
(row S58)."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from pathlib import Path

import pytest

from adapters.webhooks.addresses import Allowed, may_reach, parse_allowed
from adapters.webhooks.sender import HttpWebhookSender
from domain.errors import GiveUp, InvalidInput, RetryLater
from tests.receivers import Receiver, running_receiver
from tests.tls import tls

LOOPBACK = parse_allowed("127.0.0.1")
INSIDE = [
    "127.0.0.1", "127.8.9.10", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1",
    "169.254.169.254", "169.254.170.2", "192.0.0.192", "168.63.129.16", "192.88.99.1",
    "100.100.100.200",
    "198.18.0.1", "224.0.0.1", "239.255.255.250", "240.0.0.1",
    "255.255.255.255", "::", "::1", "fe80::1", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1", "::ffff:127.0.0.1",
    "::ffff:169.254.169.254", "::ffff:10.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b::7f00:1", "64:ff9b:1::1",
    "2002:7f00:1::", "2002:a9fe:a9fe::1", "2001:0:1::1", "2001:10::1", "3fff::1", "100::1",
    "2001:db8::1", "::127.0.0.1",
]  # fmt: skip
OUTSIDE = ["1.1.1.1", "93.184.216.34", "172.32.0.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with running_receiver() as running:
        yield running


class Names:
    """A resolver with answers of its own, one after the other; the last stays."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked += 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.mark.parametrize("address", INSIDE)
def test_s58_an_address_inside_is_refused_unless_the_operator_allows_it(address: str) -> None:
    assert not may_reach(ip_address(address), Allowed())
    assert may_reach(ip_address(address), parse_allowed(address))


@pytest.mark.parametrize("address", OUTSIDE)
def test_s58_a_public_address_is_reached(address: str) -> None:
    assert may_reach(ip_address(address), Allowed())


def test_the_operators_list_holds_names_addresses_and_networks() -> None:
    allowed = parse_allowed("Hooks.example.org, 10.1.0.0/16 ,fd00::/8,192.168.1.7,")
    assert allowed.names("hooks.EXAMPLE.org")
    assert not allowed.names("example.org")
    assert allowed.names("10.1.2.3")
    assert not allowed.names("10.2.0.1")
    for wrong in ("10.1.0.1/16", "a b", "a/b", "http://x", "ñ.example"):
        with pytest.raises(ValueError):
            parse_allowed(wrong)


@pytest.mark.parametrize(
    "url",
    ["http://example.org/", "ftp://example.org/", "https://", "https://a:b@example.org/", "https://u@example.org/",
     "https://example.org/#x", "https://example.org/ä", "https://example.org/a b", "https://example.org/\r\nX: y",
     "https://example.org:0/", "https://example.org:99999/", "https://[::1/", "//example.org", "",
     "https://169.254.169.254/latest/meta-data", "https://[::ffff:10.0.0.1]/", "https://127.0.0.1/",
     "https://example.org/" + "x" * 2000],
)  # fmt: skip
def test_s58_an_address_that_cant_be_right_is_refused_at_once(url: str) -> None:
    with pytest.raises(InvalidInput):
        HttpWebhookSender(Allowed()).check(url)


def test_s58_the_host_is_what_may_be_shown() -> None:
    assert HttpWebhookSender(Allowed()).check("https://Hooks.example.org:8443/x?token=1") == "hooks.example.org"


def test_s58_a_message_arrives_as_it_was_sent(receiver: Receiver) -> None:
    sender = HttpWebhookSender(LOOPBACK)
    assert sender.send(receiver.url, {"Starferry-Delivery": "d", "Content-Type": "application/json"}, b"[1]") == 204
    (got,) = receiver.got
    assert (got.path, got.body) == ("/hook?token=in-the-address", b"[1]")
    assert got.headers["Host"] == f"127.0.0.1:{receiver.port}"


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_s58_redirects_are_not_followed(receiver: Receiver, status: int) -> None:
    receiver.answers, receiver.location = [status], receiver.url + "&again"
    assert HttpWebhookSender(LOOPBACK).send(receiver.url, {}, b"") == status
    assert len(receiver.got) == 1


def test_s58_a_name_is_looked_up_once_and_what_was_checked_is_connected_to(receiver: Receiver) -> None:
    names = Names(["127.0.0.1"], ["127.0.0.2"])
    allowed = Allowed(networks=LOOPBACK.networks)
    sender = HttpWebhookSender(allowed, resolve=names)
    with pytest.raises(GiveUp):  # http is for hosts that are allowed by name
        sender.send(f"http://hooks.example.org:{receiver.port}/", {}, b"")
    assert names.asked == 0
    with pytest.raises(RetryLater):  # connected to 127.0.0.1, which doesn't speak TLS
        sender.send(f"https://hooks.example.org:{receiver.port}/", {}, b"")
    assert names.asked == 1


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "fe80::1%lo"])
def test_s58_a_name_that_leads_inside_is_not_connected_to(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> socket.socket:
        raise AssertionError("it connected")

    monkeypatch.setattr(socket, "create_connection", never)
    with pytest.raises(GiveUp, match="may not reach"):
        HttpWebhookSender(Allowed(), resolve=Names([address])).send("https://hooks.example.org/", {}, b"")


def test_s58_of_several_addresses_only_those_that_may_be_reached_are(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    def note(address: tuple[str, int], timeout: float) -> socket.socket:
        tried.append(address[0])
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", note)
    sender = HttpWebhookSender(Allowed(), resolve=Names(["10.0.0.1", "1.1.1.1"]))
    with pytest.raises(RetryLater):
        sender.send("https://hooks.example.org/", {}, b"")
    assert tried == ["1.1.1.1"]


def test_s58_by_tls_the_certificate_must_be_the_names(tmp_path: Path) -> None:
    server, client = tls(tmp_path, "hooks.example.org")
    with running_receiver(server) as receiver:
        sender = HttpWebhookSender(LOOPBACK, resolve=Names(["127.0.0.1"]), context=client)
        assert sender.send(f"https://hooks.example.org:{receiver.port}/x", {}, b"") == 204
        assert receiver.got[0].headers["Host"] == f"hooks.example.org:{receiver.port}"
        with pytest.raises(RetryLater, match="certificate"):
            sender.send(f"https://other.example.org:{receiver.port}/x", {}, b"")
    assert len(receiver.got) == 1


def test_s58_nobody_there_and_a_name_without_address_mean_try_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(RetryLater):
        HttpWebhookSender(LOOPBACK).send(f"http://127.0.0.1:{port}/", {}, b"")

    def nothing(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror

    with pytest.raises(RetryLater, match="no address"):
        HttpWebhookSender(LOOPBACK, resolve=nothing).send("https://hooks.example.org/", {}, b"")


def test_s58_an_answer_that_comes_byte_by_byte_is_not_waited_for() -> None:
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drip() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.sendall(b"HTTP/1.1 200 OK\r\nX: ")
                while not stop.wait(0.02):
                    try:
                        peer.sendall(b"x")
                    except OSError:
                        return

        thread = threading.Thread(target=drip)
        thread.start()
        sender = HttpWebhookSender(LOOPBACK, seconds=0.3)
        with pytest.raises(RetryLater):
            sender.send(f"http://127.0.0.1:{listener.getsockname()[1]}/", {}, b"")
        stop.set()
        thread.join(5)
    assert not thread.is_alive()
