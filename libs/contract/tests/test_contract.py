"""The contract's names are distinct, and its types are the protocol's."""

import pytest

from contract import limits, tensors


def test_inputs_of_a_request_have_distinct_names() -> None:
    names = [tensors.EMAIL_CONTENT, tensors.REQUEST_ID, *tensors.SHADOW_INPUTS, tensors.PRODUCTION_BATCH_MAILS]
    assert len(set(names)) == len(names)


def test_types_are_those_of_the_protocol() -> None:
    assert set(tensors.SHADOW_INPUTS.values()) <= {"BYTES", "INT32", "FP64"}


@pytest.mark.parametrize("value", [0, 1, 0.5, 1e-300])
def test_a_number_from_0_to_1_is_a_probability(value: object) -> None:
    assert limits.is_probability(value)


@pytest.mark.parametrize("value", [True, False, None, "0.5", -0.1, 1.1, float("nan"), float("inf"), [0.5]])
def test_nothing_else_is_a_probability(value: object) -> None:
    assert not limits.is_probability(value)


def test_a_digest_is_lower_case_and_whole() -> None:
    assert limits.SHA256.fullmatch("ab" * 32)
    assert not limits.SHA256.fullmatch("AB" * 32)
    assert not limits.SHA256.fullmatch("ab" * 33)
