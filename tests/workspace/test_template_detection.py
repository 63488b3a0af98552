"""A file that is not YAML is a template only if its actions are the reason; anything else is a broken manifest."""

from __future__ import annotations

import pytest

from tests.conftest import Repository, judge, rules

HEAD = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: b}\ndata:\n"
SECRET = "---\napiVersion: v1\nkind: Secret\nmetadata: {name: p, namespace: b}\nstringData:\n"
FAULT = SECRET + "  token: 8d1c6f0b52a94e3f\n broken: x\n"

BROKEN = {
    "an alert rule": HEAD + '  a: "{{ $labels.pod }} is down"\n' + FAULT,
    "an alert rule in single quotes": HEAD + "  a: '{{ $labels.pod }} is down'\n" + FAULT,
    "an action within a text without quotes": HEAD + "  a: is {{ $value }} down\n" + FAULT,
    "an action in a block text": HEAD + "  a: |\n    {{ .x }}\n" + FAULT,
    "an action in a block text just before the fault": HEAD + "  a: |\n    {{ .x }}\n b: x\n",
    "a loop in a block text": HEAD + "  a: |\n    {% for x in y %}\n    {{ x }}\n    {% endfor %}\n" + FAULT,
    "a GitHub expression": HEAD + "  a: ${{ github.sha }}\n" + FAULT,
    "a raw block in an argument": HEAD + "  a: --format={% raw %}x{% endraw %}\n" + FAULT,
    "an action in a comment": HEAD + "  a: b\n" + SECRET + "  # {{ x }}\n  token: a\n broken: x\n",
    "braces far apart, with the fault between": HEAD + "  a: '{{'\n" + FAULT + SECRET + "  b: '}}'\n",
    "an action after the fault": FAULT.removeprefix("---\n") + "---\n" + HEAD + "  a: {{ x }}\n",
    "JSON": '{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "{{ x }}"} "stringData": {"a": "b"}}\n',
    "an open quote": HEAD + "  a: '{{ x }}'\n  b: \"c\n" + SECRET,
    "an action that decides the indentation of a block text": HEAD + "  a: |\n    {{ x }}\n   y: 1\n  b: [\n",
    "a list of actions in a block text": HEAD + "  a: |-\n    - {{ x }}\n  c: d\n e: f\n",
    "braces over several lines in a block text": HEAD + "  a: |\n    {{\n      x\n    }}\n" + FAULT,
    "an unknown anchor": HEAD + "  a: '{{ x }}'\n  b: *nobody\n",
    "a tab that indents": HEAD + "  a: '{{ x }}'\n\tb: c\n",
}
TEMPLATES = {
    "a value": HEAD + "  a: {{ x }}\n",
    "a block": HEAD + "{{- if .x }}\n  a: b\n{{- end }}\n",
    "either a list or a mapping": HEAD + "{{ if .x }}\n- a\n{{ else }}\n  a: b\n{{ end }}\n",
    "Jinja": HEAD + "{% for x in y %}\n  {{ x }}: 1\n{% endfor %}\n",
    "a key": HEAD + "  {{ x }}: 1\n",
    "quotes within quotes": HEAD + '  a: "{{ x | default "b" }}"\n',
    "an action over several lines": HEAD + '  a: {{ include "b" (dict\n     "c" .) }}\n',
    "an inline block": HEAD + "  a: {{ if x }}1{{ else }}2{{ end }}\n  {{ if y }}b: 1{{ end }}\n",
    "an item": HEAD + "  a:\n  - {{ x }}\n  - b\n",
    "a value of two actions": HEAD + "  a: {{ x }}-{{ y }}\n",
    "a block in a block text": HEAD + "  a: |\n    b\n{{ if x }}\n    c\n{{ end }}\n",
    "a list that an action holds": HEAD + "  a: [{{ x }}]\n",
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_manifest_with_braces_is_broken(repository: Repository, name: str) -> None:
    file = "a.json" if name == "JSON" else "a.yaml"
    verdict = judge(repository({file: BROKEN[name]}))
    assert "yaml/syntax" in rules(verdict)
    assert verdict.decision == "incomplete"


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_file_that_its_actions_break_is_a_template(repository: Repository, name: str) -> None:
    verdict = judge(repository({"a.yaml": TEMPLATES[name]}))
    assert verdict.decision == "accepted"
    assert "a template outside of a Helm chart" in verdict.coverage.gaps[0].reason
