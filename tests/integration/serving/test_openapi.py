"""The server keeps to its own OpenAPI, whatever schemathesis makes of it."""

from __future__ import annotations

from pathlib import Path

import hypothesis
import schemathesis
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tests.support.registered import Registered, running

# A schema cannot say "either user_id or history", so bodies with neither fit it and get a 400.
EXCLUDED = [positive_data_acceptance]


def test_no_answer_breaks_the_schema(tmp_path: Path) -> None:
    """No 5xx, statuses and bodies as documented, what does not fit is refused in JSON."""
    registered = Registered(tmp_path)
    registered.add()
    posted: dict[int, int] = {}
    with running(registered.live()) as port:
        schema = schemathesis.openapi.from_url(f"http://127.0.0.1:{port}/openapi.json")
        for found in schema.get_all_operations():
            operation = found.ok()
            has_body = operation.method == "post"
            for mode in GenerationMode if has_body else [GenerationMode.POSITIVE]:

                @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
                @hypothesis.settings(
                    max_examples=50 if has_body else 3,
                    deadline=None,
                    database=None,
                    derandomize=True,
                    suppress_health_check=list(hypothesis.HealthCheck),
                )
                def ask(case: schemathesis.Case) -> None:
                    response = case.call()
                    case.validate_response(response, excluded_checks=EXCLUDED)
                    if response.status_code >= 400:
                        assert response.json()["detail"]
                    if case.method == "POST":
                        posted[response.status_code] = posted.get(response.status_code, 0) + 1

                ask()
    assert posted.keys() <= {200, 400, 413}
    assert posted[200] > 10
    assert posted[400] > 50
