"""Finds the files of a tree that are encrypted, or should be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gatekeeper.engines.encrypted.sops_rules import ENCRYPTED_NAME
from gatekeeper.sops import creation_rules, sops_file
from gatekeeper.sops.sops_file import SopsFile
from gatekeeper.workspace.tree import ParsedFile, Tree

SOPS_JSON_MARKERS = (b'"sops":{', b'"ENC[AES256_GCM,')


def find_candidates(tree: Tree, parsed_files: Sequence[ParsedFile]) -> Iterator[tuple[str, bytes, SopsFile | None]]:
    """Yield name, content and parsed SOPS file (None if it is not one) of each file that is or should be encrypted."""
    parsed = {source.file: source for source in parsed_files}
    for file in tree.files:
        source, name = parsed.get(file), file.rpartition("/")[2]
        if name in (creation_rules.CONFIG_NAME, creation_rules.MISSPELT_CONFIG_NAME):
            continue
        has_encrypted_name = ENCRYPTED_NAME.search(name)
        if source is not None and source.error_location is None and not has_encrypted_name and not _has_sops(source):
            continue
        content = tree.read_file(file)
        if isinstance(content, bytes) and (
            has_encrypted_name or sops_file.is_candidate(content) or b"SealedSecret" in content
        ):
            documents = source.documents if source is not None and source.error_location is None else None
            yield file, content, sops_file.parse_sops_file(file, content, documents)


def _has_sops(parsed_file: ParsedFile) -> bool:
    first, second = SOPS_JSON_MARKERS
    texts = [document.json for document in parsed_file.documents]
    return bool([json for json in texts if first in json or second in json])
