"""Proxies and certificates of the environment: refused in one sentence that names the variable, or right."""

import importlib.util
import os
from pathlib import Path

import pytest

from headway.domain.errors import UserError
from headway.models.endpoint import Endpoint
from headway.models.reachable import check_reachable

FAR = Endpoint(base_url="https://models.example.org/v1")
NEAR = Endpoint(base_url="http://127.0.0.1:9/v1")
PLAIN = Endpoint(base_url="http://models.example.org/v1")


@pytest.fixture
def setting(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name.startswith("SSL"):
            monkeypatch.delenv(name)
    return monkeypatch


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("ALL_PROXY", "socks4://127.0.0.1:9", "'socks4://' is not a known kind of proxy"),
        ("https_proxy", "http://[::1", "is not an address of a proxy"),
        ("HTTPS_PROXY", "http://host:port", "is not an address of a proxy"),
        ("https_proxy", "http://", "names no host"),
        ("SSL_CERT_FILE", "/nonexistent/ca.pem", "cannot be read: No such file"),
        ("SSL_CERT_FILE", "/dev/null", "holds no certificates"),
        ("SSL_CERT_DIR", "/nonexistent", "is not a folder"),
        ("SSLKEYLOGFILE", "/nonexistent/keys", "cannot be written"),
    ],
)
def test_a_setting_with_which_no_call_could_leave_is_refused(
    name: str, value: str, told: str, setting: pytest.MonkeyPatch
) -> None:
    setting.setenv(name, value)
    with pytest.raises(UserError) as refused:
        check_reachable([NEAR, FAR], os.environ)
    assert refused.value.message.startswith(f"{name}: ")
    assert told in refused.value.message
    assert refused.value.remedy
    check_reachable([NEAR], os.environ)


def test_a_socks_proxy_needs_its_package(setting: pytest.MonkeyPatch) -> None:
    setting.setenv("ALL_PROXY", "socks5h://127.0.0.1:9")
    setting.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(UserError, match=r"ALL_PROXY: a SOCKS proxy needs the package socksio") as refused:
        check_reachable([FAR], os.environ)
    assert "headway[socks]" in refused.value.remedy
    setting.setattr(importlib.util, "find_spec", lambda _: object())
    check_reachable([FAR], os.environ)


@pytest.mark.parametrize("value", ["http://proxy:3128", "https://proxy", "proxy:3128", "http://user:word@proxy:1", ""])
def test_a_proxy_of_the_usual_kind_is_taken(value: str, setting: pytest.MonkeyPatch) -> None:
    setting.setenv("https_proxy", value)
    check_reachable([FAR, PLAIN], os.environ)


def test_a_host_that_no_proxy_leads_to_needs_none(setting: pytest.MonkeyPatch) -> None:
    setting.setenv("https_proxy", "socks4://127.0.0.1:9")
    setting.setenv("no_proxy", "models.example.org")
    check_reachable([FAR], os.environ)


def test_certificates_are_not_looked_at_where_no_tls_is_spoken(setting: pytest.MonkeyPatch, tmp_path: Path) -> None:
    setting.setenv("SSL_CERT_FILE", str(tmp_path / "none"))
    check_reachable([NEAR, PLAIN], os.environ)
    setting.setenv("http_proxy", "https://proxy")
    with pytest.raises(UserError, match="SSL_CERT_FILE"):
        check_reachable([PLAIN], os.environ)
