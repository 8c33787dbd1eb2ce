"""Event loops of the tests."""

import asyncio
from collections.abc import Callable, Mapping

import pytest
from names import SkippingLoop


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    if item.path.name == "test_in_time.py":
        return {"skipping": SkippingLoop}
    return {"real": asyncio.SelectorEventLoop}
