import json

from bench import systems
from bench.systems import Batched

METRICS = """\
# TYPE gateway_batch_mails histogram
gateway_batch_mails_bucket{environment="staging",le="1.0"} 3.0
gateway_batch_mails_count{environment="staging"} 4.0
gateway_batch_mails_sum{environment="staging"} 35.0
gateway_batch_mails_created{environment="staging"} 1.7e+09
gateway_batch_mails_count{environment="production"} 1.0
gateway_batch_mails_sum{environment="production"} 5.0
gateway_queue_wait_seconds_sum{environment="staging"} 9.0
"""


def test_batches_of_all_environments_are_read_from_the_metrics() -> None:
    assert systems.gateway_batches(METRICS) == Batched(mails=40, batches=5)


def test_v2_body_holds_the_mail_on_one_line() -> None:
    body = systems.v2_body("Subject: x\n\nh\u00e9llo")
    assert "\n" not in body
    assert json.loads(body)["inputs"][0]["data"] == ["Subject: x\n\nh\u00e9llo"]
    assert json.loads(body)["inputs"][0]["shape"] == [1]


def test_v2_probability() -> None:
    assert systems.v2_probability({"outputs": [{"name": "any", "shape": [1], "data": [0.25]}]}) == 0.25
