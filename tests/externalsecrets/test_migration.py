"""Old API versions become the newest: one line changes, comments stay, and manual steps are reported."""

from __future__ import annotations

from pathlib import Path

import orjson
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from gatekeeper.externalsecrets import migration
from tests.conftest import command

OLD = """\
# of the shop
apiVersion: external-secrets.io/v1alpha1  # old
kind: ExternalSecret
metadata: {name: db}
spec:
  secretStoreRef: {name: vault}
  dataFrom:
  # first
  - key: one
    # its part
    property: "p"

  - key: two
  - {key: three}
  refreshInterval: 1h # last
---
apiVersion: external-secrets.io/v1beta1
kind: SecretStore
metadata: {name: vault}
spec: {provider: {fake: {data: []}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: external-secrets.io/v1alpha1}
"""
NEW = """\
# of the shop
apiVersion: external-secrets.io/v1  # old
kind: ExternalSecret
metadata: {name: db}
spec:
  secretStoreRef: {name: vault}
  dataFrom:
  # first
  - extract:
      key: one
      # its part
      property: "p"

  - extract:
      key: two
  - extract: {key: three}
  refreshInterval: 1h # last
---
apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: {name: vault}
spec: {provider: {fake: {data: []}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: external-secrets.io/v1alpha1}
"""


def test_comments_order_and_quotes_stay() -> None:
    assert migration.migrate_file(OLD.encode()) == (NEW, 2, ())
    assert migration.migrate_file(NEW.encode()) == (NEW, 0, ())


def test_json_is_rewritten_as_json() -> None:
    old = orjson.dumps(next(yaml.safe_load_all(OLD)))
    new = orjson.loads(migration.migrate_file(old).text)
    assert new["apiVersion"] == "external-secrets.io/v1" and new["spec"]["dataFrom"][1] == {"extract": {"key": "two"}}


def test_manual_steps_are_reported_and_skipped(tmp_path: Path) -> None:
    template = "  target: {template: {data: {a: '{{ .a | toString }}'}}}\n"
    files = {
        "a.yaml": OLD.replace("  refreshInterval", f"{template}  refreshInterval"),
        "b.yaml": "apiVersion: external-secrets.io/v1beta1\nkind: SecretStore\nmetadata: {name: a}\nspec: {provider: {alibaba: {}}}\n",
        "c.yaml": OLD,
        "broken.yaml": "apiVersion: external-secrets.io/v1beta1\nkind: [\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    code, out, err = command("migrate", "--dry-run", tmp_path)
    assert (code, err) == (1, "") and f"{tmp_path}/c.yaml: 2 would be rewritten" in out
    assert all((tmp_path / name).read_text() == text for name, text in files.items())
    code, out, err = command("migrate", tmp_path)
    assert (code, err) == (1, "")
    assert f"{tmp_path}/a.yaml:2: needs a manual change: its template is for engine v1" in out
    assert f"{tmp_path}/b.yaml:1: needs a manual change: v1 has no provider `alibaba`" in out
    assert f"{tmp_path}/broken.yaml:3:1: cannot be parsed" in out or "broken.yaml:2" in out
    assert (tmp_path / "c.yaml").read_text() == NEW and "v1alpha1" in (tmp_path / "a.yaml").read_text()
    code, out, _ = command("migrate", tmp_path / "c.yaml")
    assert (code, out) == (0, "")


KEYS = st.text("abc/-_. :#'\"{}[]", min_size=1, max_size=8)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.fixed_dictionaries({"key": KEYS}, optional={"property": KEYS}), min_size=1, max_size=4), st.booleans()
)
def test_request_contains_every_requested_secret(entries: list[dict[str, str]], flow: bool) -> None:
    value = {
        "apiVersion": "external-secrets.io/v1alpha1",
        "kind": "ExternalSecret",
        "metadata": {"name": "a"},
        "spec": {"secretStoreRef": {"name": "s"}, "dataFrom": entries},
    }
    text = yaml.safe_dump(value, default_flow_style=None if flow else False, sort_keys=False)
    new = yaml.safe_load(migration.migrate_file(text.encode()).text)
    assert new["spec"]["dataFrom"] == [{"extract": entry} for entry in entries]
