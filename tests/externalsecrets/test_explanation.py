"""The explanation where each value of a Secret comes from."""

from __future__ import annotations

from pathlib import Path

import yaml

from gatekeeper.externalsecrets import fetch_plan
from gatekeeper.externalsecrets.explanation import explain_steps
from gatekeeper.externalsecrets.external_secret_spec import parse_external_secret
from gatekeeper.stores.directory import DirectoryStore
from tests.externalsecrets.test_decision import es

VALUE = "s3cr3t-Zk9v"


def explain(folder: Path, data: str, more: str = "", target: str = "{}") -> list[str]:
    (folder / "db.json").write_text(f'{{"user": "shop", "password": "{VALUE}"}}')
    spec = parse_external_secret(yaml.safe_load(es(target=target, data=data, more=more)))
    fetched = fetch_plan.fetch(fetch_plan.build_plan([spec]), lambda key: DirectoryStore(folder))
    lines = list(explain_steps(spec, fetched))
    assert VALUE not in "\n".join(lines)
    return [line.strip() for line in lines]


def test_steps_of_a_value_are_shown_without_the_value(tmp_path: Path) -> None:
    lines = explain(tmp_path, "[{secretKey: a, remoteRef: {key: db, property: user}}]")
    assert lines == [
        "ExternalSecret prod/db (v1) creates Secret prod/db",
        "creationPolicy Owner, deletionPolicy Retain, read every 3600 seconds",
        "a",
        "reads `db` from ClusterSecretStore vault",
        f"found {len((tmp_path / 'db.json').read_bytes())} bytes",
        "takes `user`: 4 bytes",
    ]


def test_missing_property_is_shown_with_the_keys_that_exist(tmp_path: Path) -> None:
    data = "[{secretKey: a, remoteRef: {key: db, property: pasword}}, {secretKey: b, remoteRef: {key: none}}]"
    lines = explain(tmp_path, data)
    assert "MISSING: it has no `pasword`; it has `password`, `user`" in lines
    assert lines[-1].startswith("MISSING: `none`")


def test_searches_renames_and_templates_are_shown(tmp_path: Path) -> None:
    more = (
        "  dataFrom: [{find: {name: {regexp: d}}, rewrite: [{regexp: {source: a, target: b}}]}, {extract: {key: db}}]\n"
    )
    target = "{template: {mergePolicy: Merge, data: {a: x}, templateFrom: [{configMap: {name: c, items: []}}]}}"
    lines = explain(tmp_path, "[]", more + "  refreshPolicy: OnChange\n", target)
    assert "read when it changes" in lines[1] and "keys are renamed by Regexp" in lines
    assert "searches ClusterSecretStore vault below `/` for `d`" in lines and "found `db`" in lines
    assert lines[-1] == "templates (v2) in addition to the values: a, those of ConfigMap c"
