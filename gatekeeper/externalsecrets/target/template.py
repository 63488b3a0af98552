"""Rendering `spec.target.template` of an ExternalSecret into the data, labels and annotations of its Secret.

Source: external-secrets `pkg/controllers/externalsecret/externalsecret_controller_template.go`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gatekeeper.externalsecrets.model import SecretTemplate, TemplateFrom
from gatekeeper.externalsecrets.target.value_transforms import SecretValues, ValueTransformError, wrap_texts
from gatekeeper.gocompat import client
from gatekeeper.gocompat.client import GoFault, TemplateEngine
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.secret_value import SecretBytes
from gatekeeper.workspace import documents

# Returns a template text, given the kind (ConfigMap or Secret), the name and the key that hold it.
TemplateReader = Callable[[str, str, str], str]
ENGINES: dict[str, TemplateEngine] = {"v1": "external-secrets-v1", "v2": "external-secrets"}


class RenderedTemplate(NamedTuple):
    """The data, labels and annotations that a template sets."""

    data: SecretValues
    labels: Mapping[str, str]
    annotations: Mapping[str, str]


def render_template(
    template: SecretTemplate | None, data: SecretValues, template_reader: TemplateReader
) -> RenderedTemplate:
    """Render a template; where several templates set the same key, the last one wins.

    Args:
        template: None to use the values unchanged.
        data: the values that the templates can use.

    Raises:
        ValueTransformError: a template cannot be rendered.
        StoreError: the object with a template is missing.
        ToolError: the program that renders Go templates is missing.
    """
    if template is None:
        return RenderedTemplate(data, {}, {})
    engine = ENGINES[template.engine]
    rendered: dict[str, SecretValues] = {"Data": {}, "Labels": {}, "Annotations": {}}
    if template.is_merged or not (template.data or template.sources):
        rendered["Data"].update(data)
    for source in template.sources:
        for name, text, is_mapping in _list_template_texts(source, template_reader):
            [value] = _render_texts(engine, {name: text}, data).values()
            rendered[source.target].update(_parse_mapping(name, value) if is_mapping else {name: value})
    rendered["Data"].update(_render_texts(engine, template.data, data))
    if template.engine == "v1":
        # In engine v1, labels and annotations are not templates.
        return RenderedTemplate(rendered["Data"], dict(template.labels), dict(template.annotations))
    rendered["Labels"].update(_render_texts(engine, template.labels, data))
    rendered["Annotations"].update(_render_texts(engine, template.annotations, data))
    return RenderedTemplate(rendered["Data"], _reveal_texts(rendered["Labels"]), _reveal_texts(rendered["Annotations"]))


def _list_template_texts(source: TemplateFrom, template_reader: TemplateReader) -> list[tuple[str, str, bool]]:
    """Return each template of a source: its name, its text, and whether its result is a mapping of keys to values."""
    if source.kind == "Literal":
        return [("literal", source.literal, True)]
    return [(key, template_reader(source.kind, source.name, key), is_mapping) for key, is_mapping in source.items]


def _render_texts(engine: TemplateEngine, templates: Mapping[str, str], data: SecretValues) -> SecretValues:
    if not templates:
        return {}
    answers = client.fill_templates(list(templates.values()), data, engine)
    values: SecretValues = {}
    for key, answer in zip(templates, answers, strict=True):
        if isinstance(answer, GoFault):
            raise ValueTransformError(f"the template `{key}` {answer.reason}")
        values[key] = answer
    return values


def _parse_mapping(name: str, text: SecretBytes) -> SecretValues:
    """Parse the YAML mapping of texts that a template rendered."""
    parsed, failure = documents.parse(text.reveal())
    value = documents.to_value(parsed[0]) if parsed and failure is None else None
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        raise ValueTransformError(f"the template `{name}` does not render a YAML mapping of strings")
    return wrap_texts(value)


def _reveal_texts(values: SecretValues) -> dict[str, str]:
    """Decode labels and annotations, which are not secret: the author of the template chose to publish them."""
    return {key: value.reveal().decode("utf-8", "replace") for key, value in values.items()}
