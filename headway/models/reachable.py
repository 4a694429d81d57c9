"""Checks the proxy and certificate variables of the environment before anything starts.

A mistake in them would fail every call of every agent. So the user gets one sentence that names the variable, instead
of tracebacks from the HTTP client.
"""

import importlib.util
import os
import ssl
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import httpx2

from headway.domain.errors import UserError
from headway.models.endpoint import Endpoint, no_address
from headway.models.http_client import proxy_to

_PLAIN, _SOCKS = frozenset({"http", "https"}), frozenset({"socks5", "socks5h"})


def check_reachable(endpoints: Iterable[Endpoint], env: Mapping[str, str]) -> None:
    """Refuse addresses, proxies and certificates with which every call would fail. No connection is made.

    Raises:
        UserError: Such a variable is set; the message names it and the remedy.
    """
    tls = False
    for endpoint in endpoints:
        try:
            httpx2.URL(endpoint.base_url)
        except httpx2.InvalidURL:
            raise no_address(endpoint.names, "its host makes no sense") from None
        scheme, proxy = urlsplit(endpoint.base_url).scheme, proxy_to(endpoint)
        if proxy is not None:
            _check_proxy(_variable(scheme, env), proxy)
        tls = tls or scheme == "https" or (proxy or "").startswith("https:")
    if tls:
        _check_certificates(env)


def _variable(scheme: str, env: Mapping[str, str]) -> str:
    """The variable that names the proxy: of the scheme before `all`, and lower case before upper case."""
    wanted = (f"{scheme}_proxy", f"{scheme}_proxy".upper(), "all_proxy", "ALL_PROXY")
    return next((name for name in wanted if env.get(name)), f"{scheme}_proxy")


def _check_proxy(variable: str, proxy: str) -> None:
    remedy = f"Correct {variable}, or list the model's host in no_proxy."
    try:
        parts = urlsplit(proxy)
        host, _ = parts.hostname, parts.port
    except ValueError:
        # The error quotes what stands where the port should, which may be a password.
        raise UserError(f"{variable}: is not an address of a proxy: its host or port is not valid", remedy) from None
    if not host:
        raise UserError(f"{variable}: names no host of a proxy", remedy)
    if parts.scheme in _SOCKS:
        if importlib.util.find_spec("socksio") is None:
            raise UserError(
                f"{variable}: a SOCKS proxy needs the package socksio",
                f"Install it with `pip install 'headway[socks]'`, or unset {variable}.",
            )
    elif parts.scheme not in _PLAIN:
        known = ", ".join(f"{scheme}://" for scheme in sorted(_PLAIN | _SOCKS))
        raise UserError(f"{variable}: '{parts.scheme}://' is not a known kind of proxy", f"Known are {known}.")


def _check_certificates(env: Mapping[str, str]) -> None:
    if file := env.get("SSL_CERT_FILE"):
        _check_certificate_file(file)
    elif (folder := env.get("SSL_CERT_DIR")) and not any(Path(each).is_dir() for each in folder.split(os.pathsep)):
        raise UserError(
            f"SSL_CERT_DIR: {folder} is not a folder", "Correct it, or unset it for the usual certificates."
        )
    if keys := env.get("SSLKEYLOGFILE"):
        try:
            with Path(keys).open("ab"):
                pass
        except OSError as error:
            raise UserError(
                f"SSLKEYLOGFILE: {keys} cannot be written: {error.strerror}", "Correct it, or unset it."
            ) from error


def _check_certificate_file(file: str) -> None:
    remedy = "Name a file of certificates in PEM form, or unset it for the usual ones."
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=file)
    except ssl.SSLError as error:
        raise UserError(f"SSL_CERT_FILE: {file} holds no certificates", remedy) from error
    except OSError as error:
        raise UserError(f"SSL_CERT_FILE: {file} cannot be read: {error.strerror}", remedy) from error
