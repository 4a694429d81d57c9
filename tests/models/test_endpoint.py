"""Where the models are, by the environment."""

import pytest

from headway.domain.errors import UserError
from headway.models.endpoint import is_local
from headway.models.endpoint_variables import endpoint_from


def test_a_key_alone_means_openai() -> None:
    endpoint = endpoint_from({"OPENAI_API_KEY": " sk-abcdef \n"})
    assert endpoint.base_url == "https://api.openai.com/v1"
    assert endpoint.api == "responses"
    assert endpoint.window == 272_000
    assert endpoint.max_output == 8192
    assert endpoint.profile.max_tokens == "max_completion_tokens"
    assert endpoint.api_key.get_secret_value() == "sk-abcdef"


def test_an_address_in_the_own_network_needs_no_key() -> None:
    endpoint = endpoint_from({"OPENAI_BASE_URL": "http://localhost:8000/v1/", "OPENAI_API_KEY": ""})
    assert endpoint.base_url == "http://localhost:8000/v1"
    assert endpoint.api == "chat"
    assert endpoint.window == 128_000
    assert endpoint.profile.max_tokens == "max_tokens"
    assert endpoint.api_key.get_secret_value()
    assert endpoint.secret == ""


def test_the_environment_overrides() -> None:
    env = {
        "OPENAI_BASE_URL": "https://gate.example.org/v1",
        "OPENAI_API_KEY": "k" * 20,
        "HEADWAY_API": "Responses",
        "HEADWAY_WINDOW": "32_000",
        "HEADWAY_MAX_OUTPUT": "4096",
    }
    endpoint = endpoint_from(env)
    assert (endpoint.api, endpoint.window, endpoint.max_output) == ("responses", 32_000, 4096)
    assert "k" * 20 not in repr(endpoint) + str(endpoint) + endpoint.model_dump_json()


@pytest.mark.parametrize(
    ("env", "told"),
    [
        ({}, "headway demo"),
        ({"OPENAI_API_KEY": " ", "OPENAI_BASE_URL": ""}, "headway rehearse"),
        ({"OPENAI_BASE_URL": "localhost:8000"}, "is no address"),
        ({"OPENAI_BASE_URL": "http://"}, "is no address"),
        ({"OPENAI_BASE_URL": "https://gate.example.org/v1"}, "OPENAI_API_KEY"),
        ({"OPENAI_API_KEY": "sk-a", "HEADWAY_API": "soap"}, "responses, chat"),
        ({"OPENAI_API_KEY": "sk-a", "HEADWAY_EDIT": "sed"}, "HEADWAY_EDIT: 'sed' is not one of patch, replace"),
        ({"OPENAI_API_KEY": "sk-a", "HEADWAY_WINDOW": "large"}, "HEADWAY_WINDOW"),
        ({"OPENAI_API_KEY": "sk-a", "HEADWAY_MAX_OUTPUT": "0"}, "HEADWAY_MAX_OUTPUT"),
    ],
)
def test_what_makes_no_sense_is_told(env: dict[str, str], told: str) -> None:
    with pytest.raises(UserError, match=told):
        endpoint_from(env)


@pytest.mark.parametrize("key", ["sk-secret two", "sk-sécret", "sk-secret\x00x"])
def test_a_key_that_cannot_be_one_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(UserError) as caught:
        endpoint_from({"OPENAI_API_KEY": key})
    assert "cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://127.0.0.1:1/v1", True),
        ("http://[::1]:1/v1", True),
        ("http://192.168.1.5/v1", True),
        ("http://gpu-box:8000/v1", True),
        ("http://gpu.local/v1", True),
        ("https://8.8.8.8/v1", False),
        ("https://api.openai.com/v1", False),
    ],
)
def test_local_addresses(url: str, local: bool) -> None:
    assert is_local(url) is local


@pytest.mark.parametrize(
    ("model", "edit"),
    [
        *(("gpt-5.1", "patch"), ("gpt-5.1-codex-max", "patch"), ("gpt-5.10", "patch"), ("GPT-6-astra", "patch")),
        *(("openai/gpt-6.1-sol", "patch"), ("gpt-5.2-2025-12-11", "patch"), ("gpt-11", "patch")),
        *(("gpt-5", "replace"), ("gpt-5-2025-08-07", "replace"), ("gpt-5-codex", "replace"), ("gpt-4.1", "replace")),
        *(("gpt-35-turbo", "replace"), ("gpt-4o", "replace"), ("gpt-oss-120b", "replace"), ("o3", "replace")),
        *(("my-gpt-5.1", "replace"), ("llama-5.1", "replace"), ("", "replace")),
    ],
)
def test_models_that_are_trained_on_patches_edit_by_them(model: str, edit: str) -> None:
    assert endpoint_from({"OPENAI_API_KEY": "sk-a"}).edit_of(model) == edit
    assert endpoint_from({"OPENAI_BASE_URL": "http://box/v1"}).edit_of(model) == "replace"


@pytest.mark.parametrize("edit", ["patch", "replace"])
def test_how_files_are_edited_is_set_for_each_endpoint(edit: str) -> None:
    env = {"OPENAI_API_KEY": "sk-a", "HEADWAY_ENDPOINT_BOX_URL": "http://box/v1", "HEADWAY_ENDPOINT_BOX_EDIT": edit}
    assert [endpoint_from(env, "box").edit_of(name) for name in ("gpt-5.1", "llama")] == [edit, edit]
    assert endpoint_from(env).edit_of("gpt-5.1") == "patch"
    assert endpoint_from(env | {"HEADWAY_EDIT": "replace"}).edit_of("gpt-5.1") == "replace"


ADDRESSES = {
    "http://box/v1": "http://box/v1/chat/completions",
    "http://box/v1/": "http://box/v1/chat/completions",
    "http://box/v1?api-version=2025-01-01": "http://box/v1/chat/completions?api-version=2025-01-01",
    "http://box/v1/?a=1&b=%2F": "http://box/v1/chat/completions?a=1&b=%2F",
    "http://box": "http://box/chat/completions",
}


@pytest.mark.parametrize(("url", "asked"), ADDRESSES.items())
def test_a_path_stands_before_the_query(url: str, asked: str) -> None:
    assert endpoint_from({"OPENAI_BASE_URL": url}).at("/chat/completions") == asked


def test_headers_are_a_key_of_their_own_and_as_secret() -> None:
    env = {
        "OPENAI_BASE_URL": "https://gate.example.org/v1",
        "HEADWAY_HEADERS": '{"api-key": "abcdefgh", "x-org": "me"}',
    }
    endpoint = endpoint_from(env)
    assert endpoint.secrets == ("abcdefgh", "me")
    assert "abcdefgh" not in repr(endpoint) + str(endpoint) + endpoint.model_dump_json()
    named = {"HEADWAY_ENDPOINT_BOX_URL": "http://box/v1", "HEADWAY_ENDPOINT_BOX_HEADERS": '{"api-key": "abcdefgh"}'}
    assert endpoint_from(named, "box").secrets == ("abcdefgh",)


@pytest.mark.parametrize("headers", ["api-key: abcdefgh", '["abcdefgh"]', '{"a": 1}', '{"a b": "c"}', '{"a": "b\\nc"}'])
def test_headers_that_are_none_are_refused_without_their_values(headers: str) -> None:
    with pytest.raises(UserError, match="HEADWAY_HEADERS") as refused:
        endpoint_from({"OPENAI_BASE_URL": "http://box/v1", "HEADWAY_HEADERS": headers})
    assert "abcdefgh" not in str(refused.value)
