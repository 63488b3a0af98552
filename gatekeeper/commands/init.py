"""`gatekeeper init`: creates a GitOps repository, or adds the gate to one. Existing files stay unchanged."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from gatekeeper import config
from gatekeeper.errors import UsageError
from gatekeeper.host import atomic_file, git_state
from gatekeeper.named_tuple import NamedTuple
from gatekeeper.terminal.options import create_parser

PACKAGE_FOLDER = Path(__file__).parent.parent
SCAFFOLD_FOLDER = PACKAGE_FOLDER / "scaffold"
HOOKS_FOLDER = SCAFFOLD_FOLDER / "hooks"
CI_FOLDER = SCAFFOLD_FOLDER / "ci"
CI_FILES = {"github": ".github/workflows/gatekeeper.yaml", "gitlab": ".gitlab-ci.yml"}
NAME_PATTERN = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,50}[a-z0-9])?")
# An image that runs as any user and satisfies the strict profile.
IMAGE = "nginxinc/nginx-unprivileged:1.27.5"
PRE_COMMIT_CONFIG = """repos:
- repo: local
  hooks:
  - id: gatekeeper
    name: gatekeeper
    entry: gatekeeper check --staged
    language: system
    pass_filenames: false
    always_run: true
"""
# `flux bootstrap` creates this source in the cluster; no file of a new repository contains it.
FLUX_SETTINGS = """references: {allow: [GitRepository/flux-system/flux-system]}
"""
EXAMPLES = """examples:
  gatekeeper init                                  asks a few questions
  gatekeeper init shop --controller flux --ci github --hooks git
  gatekeeper init --controller none --ci gitlab    only the gate, in the existing repository

An empty folder becomes a whole repository; a folder with files gets only the gate: gatekeeper.yaml, hooks and CI.
Existing files stay unchanged.
Exit status: 0 created, 2 wrong usage, 3 a file cannot be written.
"""


class InitAnswers(NamedTuple):
    """What the new repository contains."""

    name: str
    team: str
    controller: str
    environments: tuple[str, ...]
    repository: str
    library: str
    hooks: str
    ci: str


# Each question: the flag, the allowed answers (empty: any name), the default, and its text.
QUESTIONS: tuple[tuple[str, tuple[str, ...], str, str], ...] = (
    ("name", (), "shop", "Name of the first application?"),
    ("team", (), "platform", "Team that owns it?"),
    ("controller", ("flux", "argo", "none"), "flux", "Controller that applies it to the cluster?"),
    ("library", ("default", "strict", "off"), "default", "Profile of the rule library?"),
    ("hooks", ("git", "pre-commit", "none"), "git", "Commit hook?"),
    ("ci", ("github", "gitlab", "none"), "none", "CI system?"),
)


def init(arguments: list[str]) -> int:
    """Runs the command.

    Raises:
        UsageError: the path is a file, or a name is not valid in Kubernetes.
    """
    args = build_parser().parse_args(arguments)
    root = (args.path or Path.cwd()).resolve()
    if root.exists() and not root.is_dir():
        raise UsageError(f"{root}: is a file, not a folder")
    is_new = not root.exists() or not [path for path in root.iterdir() if path.name != ".git"]
    answers = _collect_answers(args, root, is_new)
    written, kept = 0, 0
    for name, text, mode in _build_files(answers, root, is_new):
        path = root / name
        if path.exists():
            sys.stdout.write(f"kept     {name}\n")
            kept += 1
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_file.write(path, text.encode())
        path.chmod(mode)
        sys.stdout.write(f"written  {name}\n")
        written += 1
    sys.stdout.write(f"{written} files written, {kept} existing files kept. Next: cd {root} && gatekeeper check\n")
    return 0


def build_parser() -> argparse.ArgumentParser:
    """The command's options."""
    parser = create_parser("init", "Create a GitOps repository, or add the gate to an existing one.", EXAMPLES)
    parser.add_argument("path", nargs="?", type=Path, metavar="PATH", help="the folder (default: the current one)")
    for name, choices, usual, question in QUESTIONS:
        words = f"{question.rstrip('?')} (default: {usual})"
        parser.add_argument(f"--{name}", choices=choices or None, help=words, metavar=None if choices else name.upper())
    parser.add_argument(
        "--environments",
        default="production,staging",
        metavar="A,B",
        help="environments to create (default: production,staging)",
    )
    parser.add_argument(
        "--repository",
        default="",
        metavar="URL",
        help="URL of this repository, for Argo CD (default: the remote origin)",
    )
    return parser


def _collect_answers(args: argparse.Namespace, root: Path, is_new: bool) -> InitAnswers:
    """The flags, then answers to the open questions; without a terminal, the defaults."""
    is_interactive = sys.stdin.isatty() and not any(getattr(args, name) for name, *_ in QUESTIONS)
    answers: dict[str, str] = {}
    for name, choices, usual, words in QUESTIONS:
        if name in ("name", "team", "controller") and not is_new:
            answers[name] = getattr(args, name) or usual
        else:
            answers[name] = getattr(args, name) or (_prompt(words, choices, usual) if is_interactive else usual)
    environments = tuple(word.strip() for word in args.environments.split(",") if word.strip())
    for word in (answers["name"], answers["team"], *environments):
        if not NAME_PATTERN.fullmatch(word):
            raise UsageError(f"`{word}`: use lower-case letters, digits and `-`, as in Kubernetes names")
    if not environments or len(set(environments)) != len(environments):
        raise UsageError("--environments: list different names, such as production,staging")
    url = args.repository or git_state.get_origin_url(root) or f"https://git.example.com/{answers['name']}.git"
    return InitAnswers(environments=environments, repository=url, **answers)


def _prompt(question: str, choices: Sequence[str], default: str) -> str:
    options = f" {'/'.join(choices)}" if choices else ""
    while True:
        sys.stdout.write(f"{question}{options} [{default}] ")
        sys.stdout.flush()
        answer = sys.stdin.readline().strip() or default
        if answer in choices or (not choices and NAME_PATTERN.fullmatch(answer)):
            return answer
        sys.stdout.write(f"Allowed: {', '.join(choices) or 'lower-case letters, digits and -'}.\n")


def _build_files(answers: InitAnswers, root: Path, is_new: bool) -> Iterator[tuple[str, str, int]]:
    """Name, text and mode of each file."""
    common = SCAFFOLD_FOLDER / "common"
    if is_new:
        for part in ("common", "app", *([answers.controller] if answers.controller != "none" else [])):
            for name, text, mode in _fill_folder(SCAFFOLD_FOLDER / part, answers):
                is_flux = name == config.CONFIG_FILE and answers.controller == "flux"
                yield name, text + (FLUX_SETTINGS if is_flux else ""), mode
        yield ".github/CODEOWNERS" if answers.ci == "github" else "CODEOWNERS", f"* @{answers.team}\n", 0o644
    else:
        text = _fill_file(common / config.CONFIG_FILE, answers, "").replace("policies: {paths: [policy]}\n", "")
        yield config.CONFIG_FILE, text, 0o644
    if answers.ci != "none":
        yield CI_FILES[answers.ci], (CI_FOLDER / f"{answers.ci}.yaml").read_text(encoding="utf-8"), 0o644
    if answers.hooks == "pre-commit":
        yield ".pre-commit-config.yaml", PRE_COMMIT_CONFIG, 0o644
    elif answers.hooks == "git":
        # Without a Git repository the hooks are written into the folder `hooks`, for later.
        folder = ".git/hooks" if (root / ".git").is_dir() else "hooks"
        for name in ("pre-commit", "pre-push"):
            yield f"{folder}/{name}", (HOOKS_FOLDER / name).read_text(encoding="utf-8"), 0o755


def _fill_folder(folder: Path, answers: InitAnswers) -> Iterator[tuple[str, str, int]]:
    # Files of this package, not of the user: `tree.list_files_below` is for those.
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts):
        name = path.relative_to(folder).as_posix().replace("NAME", answers.name)
        for environment in answers.environments if "ENVIRONMENT" in name else ("",):
            yield name.replace("ENVIRONMENT", environment), _fill_file(path, answers, environment), 0o644


def _fill_file(path: Path, answers: InitAnswers, environment: str) -> str:
    text = path.read_text(encoding="utf-8")
    values = {
        "NAME": answers.name,
        "TEAM": answers.team,
        "LIBRARY": "'off'" if answers.library == "off" else answers.library,
        "ENVIRONMENT": environment,
        "REPLICAS": "3" if environment == answers.environments[0] else "2",
        "REPOSITORY": answers.repository,
        "REVISION": "main",
        "IMAGE": IMAGE,
    }
    for placeholder, value in values.items():
        text = re.sub(rf"\b{placeholder}\b", lambda _, value=value: value, text)  # type: ignore[misc]
    return text
