"""Webhooks are sent to no address that they may not go to, and to nobody who is not who was named."""

from __future__ import annotations

import datetime
import http.client
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_network
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from serve.webhooks.addresses import AddressError, Pinned, check_url, is_allowed, pin
from serve.webhooks.deliverer import post
from tests.serve.receivers import LOOPBACK, receiving


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "10.1.2.3", "192.168.0.1", "169.254.169.254", "0", "[::1]", "[::ffff:10.0.0.1]",
     "[::127.0.0.1]", "[::ffff:0:169.254.169.254]", "[fec0::1]",
     "[64:ff9b::a00:1]", "[2002:a00:1::]", "[fe80::1]", "[fd00::1]", "100.64.0.1", "224.0.0.1", "0x7f.1", "2130706433"],
)  # fmt: skip
def test_an_address_that_is_not_public_is_not_reached(host: str) -> None:
    with pytest.raises(AddressError):
        pin(f"https://{host}/x", ())


def test_a_network_that_is_allowed_is_reached_and_a_public_address_is() -> None:
    assert pin("https://10.1.2.3:8443/x?y=1", (ip_network("10.1.0.0/16"),)) == Pinned(
        "https", "10.1.2.3", 8443, ("10.1.2.3",), "/x?y=1"
    )
    assert pin("https://8.8.8.8/", ()).addresses == ("8.8.8.8",)


@pytest.mark.parametrize(
    "url",
    ["http://a.example/", "ftp://a.example/", "https://", "https://u:p@a.example/", "https://a.example/#x", "x",
     "https://a.example/../b", "https://a.example\\@b.example/", "https://a.example:0/", "https://a.example:x/",
     "https://ä.example/", "https://a.example/ x", "https://a.example/" + "x" * 1000],
)  # fmt: skip
def test_a_url_that_will_not_do_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"address|URL|host|fragment"):
        check_url(url)


def test_what_lies_below_an_allowed_address_is_allowed() -> None:
    allowed = ("https://a.example/teams/", "https://b.example/one")
    assert is_allowed("https://a.example/teams/x?y", allowed)
    assert is_allowed("https://a.example:443/teams/", allowed)
    assert is_allowed("https://b.example/one", allowed)
    for url in ("https://b.example/one/two", "https://a.example/teams", "https://a.example:444/teams/x",
                "http://a.example/teams/x", "https://a.example.evil/teams/x", "https://b.example/one?x"):  # fmt: skip
        assert not is_allowed(url, allowed), url


def certificate(folder: Path, name: str) -> tuple[Path, ssl.SSLContext]:
    """A certificate that nobody but itself signed, and a server's context with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, private = folder / f"{name}.pem", folder / f"{name}.key"
    public.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    return public, context


@pytest.mark.slow
@pytest.mark.parametrize(("name", "is_reached"), [("localhost", True), ("other.example", False)])
def test_a_certificate_must_be_of_the_host_that_was_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, is_reached: bool
) -> None:
    public, context = certificate(tmp_path, name)
    monkeypatch.setenv("SSL_CERT_FILE", str(public))
    with receiving(context=context) as receiver:
        if is_reached:
            assert post(pin(receiver.url, LOOPBACK), b"{}", {}) == 204
        else:
            with pytest.raises(ssl.SSLCertVerificationError):
                post(pin(receiver.url, LOOPBACK), b"{}", {})


def test_a_receiver_that_does_not_answer_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serve.webhooks.deliverer.WHOLE_SECONDS", 0.3)
    with receiving() as receiver, ThreadPoolExecutor(1) as pool:
        monkeypatch.setattr(receiver, "statuses", _Slow([200]))
        sending = pool.submit(post, pin(receiver.url, (ip_network("127.0.0.0/8"), ip_network("::1/128"))), b"{}", {})
        with pytest.raises((OSError, http.client.HTTPException)):
            sending.result(5)


class _Slow(list[int]):
    """Answers that take their time."""

    def pop(self, index: int = -1) -> int:  # type: ignore[override] # of list alone
        time.sleep(1.0)
        return super().pop(index)
