from importlib.metadata import version

from kserving import patches


def test_the_list_of_patches_is_of_the_installed_sdk() -> None:
    """A new version must be compared with the list before the docstring names it."""
    assert patches.__doc__ is not None
    assert f"KServe SDK {version('kserve')}:" in patches.__doc__
