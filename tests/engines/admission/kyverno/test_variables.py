"""Variables of Kyverno policies."""

from __future__ import annotations

import pytest

from gatekeeper.engines.admission.kyverno.variables import resolve_variables
from gatekeeper.errors import PolicyError


def test_nested_variables_are_resolved_and_malformed_ones_refused() -> None:
    context = {"request": {"object": {"metadata": {"labels": {"id": "a1"}}}}}
    nested = "{{ regex_match('^[a-z]{1}[0-9]{1}$', '{{ request.object.metadata.labels.id }}') }}"
    assert resolve_variables(nested, context) is True
    assert resolve_variables("id {{ request.object.metadata.labels.id }}!", context) == "id a1!"
    with pytest.raises(PolicyError):
        resolve_variables("{{ {{ {{", context)
