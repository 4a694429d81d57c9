"""Secrets vanish from texts, and nothing else does."""

import base64
import hashlib
import json
import random
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headway.eventlog import redaction
from headway.eventlog.redaction import REDACTED, redactor

KEY = "Zq9x-Very.Secret/Value+1"


@pytest.mark.parametrize(
    "text",
    [KEY, f"curl -H 'X-Key: {KEY}'", f"x{KEY}y", json.dumps({"key": KEY}), "?key=Zq9x-Very.Secret%2FValue%2B1&more"],
)
def test_a_known_value_vanishes_however_it_is_written(text: str) -> None:
    redacted = redactor([KEY])(text)
    assert REDACTED in redacted
    assert "Secret" not in redacted


def test_a_known_value_with_quotes_and_line_ends_vanishes_from_json() -> None:
    secret = 'a"b\\c\nd9-e'
    assert redactor([secret + "\n"])(json.dumps({"a": secret})) == json.dumps({"a": REDACTED})


def test_the_longer_of_two_known_values_wins() -> None:
    assert redactor(["abcd1234", "abcd1234-efgh5678"])("abcd1234-efgh5678 abcd1234") == f"{REDACTED} {REDACTED}"


@pytest.mark.parametrize("word", ["", "short", "rehearsal", "not-needed", "no-key-required", "Anything", "lm-studio"])
def test_a_word_given_as_a_key_does_not_vanish_from_every_text(word: str) -> None:
    text = f"this is a {word} of no importance"
    assert redactor([word])(text) == text


@pytest.mark.parametrize(
    "secret",
    [
        "sk-proj-Ab3dEf6hIj9kLm2nOp5qRs8t",
        "sk-ant-api03-Ab3dEf6hIj9kLm2nOp5qRs8t_uv-wx",
        "ghp_0123456789abcdefghijABCDEFGHIJ456789",
        "github_pat_11ABCDEFG0123456789_abcdefghij",
        "glpat-Ab3dEf6hIj9kLm2nOp5q",
        "xoxb-123456789012-abcdefghijkl",
        "hf_abcdefghijklmnopqrstuvwxyzABCDEFGH",
        "AIzaSyA1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q",
        "AKIAIOSFODNN7EXAMPLE",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N",
    ],
)
@pytest.mark.parametrize("around", ["{}", "KEY={}", 'key = "{}"', "a\n{}\nb", "a\\n{}\\nb", "https://{}@host/p"])
def test_what_looks_like_a_key_vanishes(secret: str, around: str) -> None:
    assert redactor([])(around.format(secret)) == around.format(REDACTED)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("https://ada:s3cretWord-9@host/p.git", "https://[redacted]@host/p.git"),
        ("fatal: 'ssh://ada:s3cretWord-9@host:22/p'", "fatal: 'ssh://[redacted]@host:22/p'"),
        ("https://ada:p@ss/w0rdLong@host", "https://ada:p@ss/w0rdLong@host"),
        ("https://ada:p@ssw0rdLong@host/", "https://[redacted]@host/"),
        ("https://:s3cretWord-9@host", "https://[redacted]@host"),
        ("https://ada:%7Es3cret@host", "https://[redacted]@host"),
        ("a https://a:s3cretWord-9@b b https://c:s3cretWord-8@d", "a https://[redacted]@b b https://[redacted]@d"),
        ('{"a":"https://a:s3cretWord-9@b"}', '{"a":"https://[redacted]@b"}'),
        (f"https://ada:{'ghp_0123456789abcdefghijABCDEFGHIJ456789'}@host/p", "https://[redacted]@host/p"),
    ],
)
def test_name_and_password_vanish_from_an_address(text: str, left: str) -> None:
    assert redactor([])(text) == left


def test_many_addresses_beside_long_words_take_no_time() -> None:
    text = "://" + "a" * 200_000 + "://a:b" * 20_000
    started = time.monotonic()
    assert redactor([])(text) == text
    assert time.monotonic() - started < 2


def test_a_bearer_token_vanishes_and_its_word_stays() -> None:
    assert redactor([])("Authorization: Bearer abcdef0123456789abcdef==") == f"Authorization: Bearer {REDACTED}"


BODY = "\n".join(["MIIEpAIBAAKCAQEA1234567890abcdefghijklmnopqrstuvwxyz+/ABCDEFGHIJKLMN"] * 5)
BLOCK = f"-----BEGIN RSA PRIVATE KEY-----\n{BODY}\n-----END RSA PRIVATE KEY-----"


@pytest.mark.parametrize("text", [BLOCK, json.dumps(BLOCK)[1:-1], BLOCK[:200]], ids=["file", "json", "cut"])
def test_a_private_key_vanishes(text: str) -> None:
    redacted = redactor([])(f"before {text}: after")
    assert "MII" not in redacted
    assert redacted.startswith("before -----BEGIN RSA PRIVATE KEY-----[redacted]")
    assert redacted.endswith("after")


@pytest.mark.parametrize(
    "text",
    [
        hashlib.sha1(b"x").hexdigest(),
        hashlib.sha256(b"x").hexdigest(),
        "task-1234567890-abcdefghijklmnopqrstuvwxyz",
        "sk-learn and sk-estimator-checks-and-other-long-names",
        "disk-0123456789012345678901234567",
        "the bearer of this letter, and Bearer authentication-mechanisms",
        "ghp_short, AKIA, hf_hub_download_of_a_model",
        'if "-----BEGIN PRIVATE KEY-----" in text: raise ValueError("a key")',
        "demo/root-0a1b2c3d/12.34-deadbeef",
        "AKIAIOSFODNN7EXAMPLEANDMORELETTERS",
        "postgres://postgres:postgres@localhost:5432/test",
        "http://user:pass@example.org and http://user:password@example.org",
        "https://${USER}:${GITHUB_TOKEN_1}@host, https://{name}:{pass_word1}@host, amqp://%(user)s:%(pass_1234)s@h",
        "https://host:8080/a/b@1.2.3456789 ssh://git@host:22/x see http://a:80/x@y",
    ],
)
def test_ordinary_text_stays(text: str) -> None:
    assert redactor([KEY])(text) == text


def test_opaque_text_of_a_model_stays() -> None:
    numbers = random.Random(7)
    for _ in range(20):
        opaque = base64.urlsafe_b64encode(numbers.randbytes(100_000)).decode()
        assert redactor([KEY])(opaque) == opaque


PIECES = st.sampled_from(
    [
        *("sk-proj-Ab3dEf6hIj9kLm2nOp5qRs8t", "AKIAIOSFODNN7EXAMPLE", "https://ada:s3cretWord-9@host/p", "Bearer "),
        *("-----BEGIN RSA PRIVATE KEY-----", "MIIEogIBAAKCAQEA", "-----END RSA PRIVATE KEY-----", "Proc-Type: 4,ENC"),
        *(
            "sk-",
            "glpat-",
            "word",
            " ",
            "\n",
            "\\n",
            '"',
            ".",
            "1",
            "a" * 30,
            "Ab3dEf6hIj9kLm2nOp5qRs8t",
            "eyJhbGciOiJIUzI1",
        ),
    ]
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=st.lists(PIECES, max_size=60), stretch=st.integers(700, 900))
def test_a_text_is_searched_in_stretches_as_if_at_once(
    monkeypatch: pytest.MonkeyPatch, parts: list[str], stretch: int
) -> None:
    text = "".join(parts)
    whole = redactor([])(text)
    with monkeypatch.context() as patched:
        patched.setattr(redaction, "STRETCH", stretch)
        patched.setattr(redaction, "OVERLAP", 600)  # longer than any secret here
        patched.setattr(redaction, "_UNSURE", 200)
        assert redactor([])(text) == whole


@pytest.mark.parametrize("at", [-70_000, -33, -20, -3, 0, 5])
def test_a_secret_at_the_border_of_two_stretches_vanishes(at: int) -> None:
    secret = "sk-proj-Ab3dEf6hIj9kLm2nOp5qRs8t"
    before = "x " * ((redaction.STRETCH + at) // 2)
    text = f"{before}{secret} {'y ' * redaction.STRETCH}"
    assert redactor([])(text) == text.replace(secret, REDACTED)
