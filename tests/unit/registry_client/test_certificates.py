"""`certs.d`: an authority that is trusted for one registry, and for no other."""

import http.server
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from labkit.build.context.fetch import fetch
from labkit.errors import InvalidParameterError
from labkit.registry.client.endpoints import Endpoint, Settings, candidates
from labkit.registry.client.errors import UnreachableError
from labkit.registry.client.transport import Transport
from labkit.registry.server import certificates
from tests.certificates import new_authority, signed


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *words: object) -> None:
        """Say nothing."""


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *words: object) -> None:
        """A client that does not trust it hangs up: that is what is tested."""


@contextmanager
def serving(certificate: str | Path, key: str | Path) -> Iterator[str]:
    """A TLS server's address."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with Server(("127.0.0.1", 0), Handler) as running:
        running.socket = context.wrap_socket(running.socket, server_side=True)
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        try:
            yield f"https://127.0.0.1:{running.server_port}"
        finally:
            running.shutdown()
            thread.join()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """A TLS server's address, and the file with its certificate."""
    certificate, key = certificates.self_signed(str(tmp_path), "127.0.0.1")
    with serving(certificate, key) as url:
        yield url, certificate


def ask(endpoint: Endpoint) -> int:
    return Transport(endpoint).send("GET", httpx.URL(f"{endpoint.url}/v2/"), {}).status_code


def test_an_authority_beside_the_machines_own(server: tuple[str, str]) -> None:
    url, certificate = server
    assert ask(Endpoint(url, authorities=(certificate,))) == 200
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        ask(Endpoint(url))


HOST = "subjectAltName=IP:127.0.0.1"


def test_authorities_that_docker_trusts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One made by `openssl req -x509` has no keyUsage; a company's may be below another one."""
    root = new_authority(tmp_path, "root")
    middle = signed(tmp_path, "root", "middle", "basicConstraints=critical,CA:TRUE")
    for by, trusted in (("root", root), ("middle", middle)):
        certificate = signed(tmp_path, by, f"below-{by}", HOST)
        with serving(certificate, tmp_path / f"below-{by}.key") as url:
            assert ask(Endpoint(url, authorities=(str(trusted),))) == 200
            with monkeypatch.context() as patch:
                patch.setenv("SSL_CERT_FILE", str(trusted))  # the system's authorities
                fetch(f"{url}/file", str(tmp_path)).file.close()
            with pytest.raises(InvalidParameterError, match="certificate verify failed"):
                fetch(f"{url}/file", str(tmp_path))


def test_ones_own_is_shown_where_it_is_asked_for(tmp_path: Path) -> None:
    certificate, key = certificates.self_signed(str(tmp_path), "127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(certificate)
    with Server(("127.0.0.1", 0), Handler) as running:
        running.socket = context.wrap_socket(running.socket, server_side=True)
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        url, authorities = f"https://127.0.0.1:{running.server_port}", (certificate,)
        assert ask(Endpoint(url, authorities=authorities, own=((certificate, key),))) == 200
        with pytest.raises(httpx.TransportError):
            ask(Endpoint(url, authorities=authorities))
        running.shutdown()
        thread.join()


def reason(url: str) -> str:
    """What somebody is told who cannot reach this registry."""
    with pytest.raises(UnreachableError) as caught:
        Transport(Endpoint(url)).fetch("GET", httpx.URL(f"{url}/v2/"), {})
    return str(caught.value)


def test_where_to_put_an_authority_that_is_missing(server: tuple[str, str]) -> None:
    url, _ = server
    host = url.removeprefix("https://")
    assert f"into certs.d/{host}/ca.crt beside daemon.json, or name {host} among" in reason(url)


def test_what_to_do_where_nobody_speaks_tls() -> None:
    with Server(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.handle_request)
        thread.start()
        host = f"127.0.0.1:{running.server_port}"
        assert f'name {host} among the "insecure-registries"' in reason(f"https://{host}")
        thread.join()


def test_they_are_found_by_host_and_port(tmp_path: Path) -> None:
    folder = tmp_path / "registry.example:5000"
    folder.mkdir()
    for name in ("b.crt", "a.crt", "client.cert", "client.key"):
        (folder / name).touch()
    settings = Settings(certificates=str(tmp_path))
    assert candidates("registry.example:5000", settings)[0].own == (
        (f"{folder}/client.cert", f"{folder}/client.key"),
    )
    (found,) = candidates("registry.example:5000", settings)
    assert found.authorities == (f"{folder}/a.crt", f"{folder}/b.crt")
    assert candidates("registry.example", settings)[0].authorities == ()
    assert candidates("registry.example:5000", Settings())[0].authorities == ()


def test_a_certificate_without_its_key(tmp_path: Path) -> None:
    (tmp_path / "registry.example").mkdir()
    (tmp_path / "registry.example/mine.cert").touch()
    with pytest.raises(InvalidParameterError, match=r"mine\.cert has no key: put .*/mine\.key"):
        candidates("registry.example", Settings(certificates=str(tmp_path)))


def test_what_is_no_certificate_is_named(tmp_path: Path) -> None:
    wrong = tmp_path / "ca.crt"
    wrong.write_text("no certificate\n")
    with pytest.raises(InvalidParameterError, match=r"ca\.crt is not a usable certificate"):
        Transport(Endpoint("https://registry.example", authorities=(str(wrong),)))
