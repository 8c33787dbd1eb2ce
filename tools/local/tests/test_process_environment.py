"""Tests of the processes' environment, whatever the person's shell sets."""

import pytest

from local.environment import environment


def test_what_other_programs_set_for_themselves_is_left_out() -> None:
    given = {"HOST": "x86_64-conda-linux-gnu", "PYTHONPATH": "/old", "PYTHONHOME": "/old", "PATH": "/bin"}
    found = environment(given, {})
    assert found["PATH"] == "/bin"
    assert not {"HOST", "PYTHONPATH", "PYTHONHOME"} & found.keys()


def test_an_empty_setting_is_no_setting() -> None:
    found = environment({"PAGE": "", "API_KEYS_FILE": ""}, {})
    assert "PAGE" not in found
    assert found["API_KEYS_FILE"] == "", "the gateway refuses it: nobody is let in by mistake"


def test_our_own_settings_win() -> None:
    assert environment({"MODEL_DIR": "a", "X": "b"}, {"MODEL_DIR": "c"}).items() >= {"MODEL_DIR": "c", "X": "b"}.items()


@pytest.mark.parametrize(
    ("given", "hosts"),
    [
        ({}, "127.0.0.1,localhost,::1"),
        ({"no_proxy": "a.test, b.test"}, "a.test,b.test,127.0.0.1,localhost,::1"),
        ({"NO_PROXY": "a.test", "no_proxy": "localhost"}, "localhost,a.test,127.0.0.1,::1"),
    ],
)
def test_no_request_to_this_machine_goes_through_a_proxy(given: dict[str, str], hosts: str) -> None:
    found = environment({**given, "HTTP_PROXY": "http://proxy.test:3128"}, {})
    assert (found["no_proxy"], found["NO_PROXY"]) == (hosts, hosts)
    assert found["HTTP_PROXY"] == "http://proxy.test:3128", "others go through it"
