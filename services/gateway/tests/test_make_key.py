import json
from hashlib import sha256
from pathlib import Path

import pytest

from gateway.access.api_keys import read_keys
from gateway.access.make_key import run

Capture = pytest.CaptureFixture[str]
SHOP = ["api-key", "--name", "shop", "--environments", "staging"]


def test_a_key_is_shown_once_and_known_by_its_hash(capsys: Capture) -> None:
    run(["api-key", "--name", "shop", "--environments", "staging,production", "--mails-per-second", "50"])
    out, err = capsys.readouterr()
    key = err.splitlines()[-1]
    assert json.loads(out) == {
        "name": "shop",
        "sha256": sha256(key.encode()).hexdigest(),
        "environments": ["staging", "production"],
        "mails_per_second": 50.0,
    }


def test_keys_are_added_to_a_file_that_the_gateway_takes(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "keys.json"
    for name in ("shop", "mill"):
        run(["api-key", "--name", name, "--environments", "staging", "--file", str(path)])
        out, err = capsys.readouterr()
        assert out == ""
        assert err.splitlines()[-1] not in path.read_text()
    assert [key.name for key in read_keys(path, ["staging"])] == ["shop", "mill"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["serve"], "invalid choice"),
        (["api-key"], "required: --name, --environments"),
        ([*SHOP, "--name", "Shop"], "name: is not 1 to 63 of a-z"),
        ([*SHOP, "--environments", ""], "key shop: environments: "),
        ([*SHOP, "--mails-per-second", "0"], "greater than or equal to 0.001"),
        ([*SHOP, "--mails-per-second", "nan"], "finite number"),
        ([*SHOP, "--mails-per-second", "inf"], "key shop: mails_per_second: Input should be"),
        ([*SHOP, "--mails-per-second", "5e-324"], "greater than or equal to 0.001"),
        ([*SHOP, "--burst", "5"], "burst without mails_per_second"),
    ],
)
def test_wrong_arguments_are_refused_and_make_no_key(arguments: list[str], reason: str, capsys: Capture) -> None:
    with pytest.raises(SystemExit) as ended:
        run(arguments)
    out, err = capsys.readouterr()
    assert (ended.value.code, out) == (2, "")
    assert reason in err
    assert "msk_" not in err


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"keys": 5}', '{"keys": ["x"]}'])
def test_a_file_of_something_else_is_left_as_it_is(tmp_path: Path, content: str, capsys: Capture) -> None:
    path = tmp_path / "keys.json"
    path.write_text(content)
    with pytest.raises(SystemExit):
        run([*SHOP, "--file", str(path)])
    assert str(path) in capsys.readouterr().err
    assert path.read_text() == content


def test_a_name_that_is_there_is_refused(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "keys.json"
    run([*SHOP, "--file", str(path)])
    before = path.read_text()
    with pytest.raises(SystemExit):
        run([*SHOP, "--file", str(path)])
    assert "key shop: 2 entries have this name" in capsys.readouterr().err
    assert path.read_text() == before
