"""Who may import whom, as data; each file is read with `ast` and held against it. Imports are absolute and go one way."""

import ast
import importlib
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

PURE_STDLIB = {
    "abc", "base64", "bisect", "collections", "contextlib", "dataclasses", "datetime", "difflib", "enum", "functools", "gc", "hashlib",
    "html", "ipaddress", "itertools", "json", "math", "re", "shlex", "string", "struct", "time", "typing", "unicodedata", "urllib.parse",
    "xml.etree", "xml.sax.saxutils", "zlib",
}  # fmt: skip
CORES = "services.*.protocol"

# (files, of the project it may import, beyond the standard library it may import, whether it must be pure)
RULES = [
    ("services/wire/*.py", ["services.wire"], [], True),
    ("services/*/protocol.py", ["services.wire"], [], True),
    ("services/tcp/chat.py", ["services.wire"], [], True),
    ("services/file/grammar.py", ["services.wire"], [], True),
    ("services/file/protocol.py", ["services.wire", "services.file.grammar"], [], True),
    ("services/smtp_relay/protocol.py", ["services.smtp_relay", "services.wire"], [], True),
    *[
        (f"services/smtp_relay/{name}.py", ["services.smtp_relay", "services.wire"], [], True)
        for name in ("backoff", "client", "commands", "envelope", "grammar", "header", "report", "text")
    ],
    # readers of what crossed: they use the tables and cores of the servers, and no server knows them
    (
        "services/dialogue/*.py",
        ["services.dialogue", "services.wire", CORES, "services.smtp_relay.commands", "services.file.grammar"],
        [],
        True,
    ),
    ("services/runtime/*.py", ["services.runtime", "services.wire"], ["uvloop"], False),
    ("services/tcp/*.py", ["services.tcp", "services.wire", "services.runtime"], [], False),
    ("services/udp/*.py", ["services.udp", "services.wire", "services.runtime"], [], False),
    ("services/file/*.py", ["services.file", "services.wire", "services.runtime"], [], False),
    ("services/rpc/*.py", ["services.rpc", "services.wire", "services.runtime"], [], False),
    ("services/web/*.py", [], [], False),
    ("services/tools/*.py", ["services.tools"], [], False),
    *[(f"services/tools/shaper/{name}.py", ["services.tools.shaper"], [], True) for name in ("frames", "rules")],
    ("services/tools/shaper/*.py", ["services.tools"], [], False),
    *[
        (f"services/tools/proxy/{name}.py", ["services.tools.proxy"], [], True)
        for name in ("conversation", "http", "imap", "lines")
    ],
    ("services/tools/proxy/*.py", ["services.tools"], [], False),
    ("services/smtp_relay/*.py", ["services.smtp_relay", "services.wire", "services.runtime"], ["yaml"], False),
    ("services/mail/*.py", ["services.mail"], [], False),
    ("services/client/**/*.py", ["services.client", "services.wire", CORES, "services.tcp.chat", "services.file.grammar"], [], False),
    ("services/news/*.py", ["services.news", "services.wire", "services.runtime"], [], False),
    ("services/telnet/*.py", ["services.telnet", "services.wire", "services.runtime"], [], False),
    ("services/ftp/*.py", ["services.ftp", "services.wire", "services.runtime"], ["pyftpdlib"], False),
    ("services/gopher/*.py", ["services.gopher", "services.wire", "services.runtime"], [], False),
    # the window is a client too: it may use what the client host's commands use (`FileClient`, `WebClient`, errors in words)
    ("services/desktop/model.py", [], [], True),
    (
        "services/desktop/**/*.py",
        ["services.desktop", "services.client", "services.wire", CORES, "services.tcp.chat", "services.file.grammar"],
        [],
        False,
    ),
    ("labctl/model.py", ["labctl.model"], [], True),
    ("labctl/plan.py", ["labctl.model"], [], True),
    ("labctl/errors.py", [], [], True),
    ("labctl/progress.py", [], [], True),
    ("labctl/words.py", [], [], True),
    ("labctl/paths.py", [], [], False),
    ("labctl/cores.py", ["labctl.paths"], [], False),
    ("labctl/wire/*.py", ["labctl.wire", "labctl.cores", "services.dialogue"], [], True),
    ("labctl/provision/*.py", ["labctl.provision", "labctl.errors", "labctl.progress"], [], False),
    ("labctl/gui/*.py", ["labctl.gui", "labctl.errors"], [], False),
    ("labctl/faults/*.py", ["labctl.faults", "labctl.words"], [], True),
    (
        "labctl/scenario/*.py",
        ["labctl.scenario", "labctl.faults", "labctl.errors", "labctl.paths", "labctl.words"],
        ["pydantic", "yaml"],
        False,
    ),
    (
        "labctl/engine/*.py",
        ["labctl", "labctl.engine", "labctl.model", "labctl.plan", "labctl.errors", "labctl.progress", "labctl.paths", "labctl.provision"],
        ["docker"],
        False,
    ),
    (
        "labctl/commands/*.py",
        ["labctl", "labctl.commands", "labctl.engine", "labctl.faults", "labctl.gui", "labctl.model", "labctl.plan", "labctl.errors",
         "labctl.progress",
         "labctl.paths", "labctl.provision", "labctl.scenario", "labctl.wire", "labctl.words"],
        ["yaml"],
        False,
    ),
    ("labctl/grade/probe.py", [], [], False),
    ("labctl/grade/words.py", [], [], True),
    (
        "labctl/grade/*.py",
        ["labctl.grade", "labctl.testing", "labctl.commands", "labctl.engine", "labctl.errors", "labctl.model", "labctl.scenario",
         "labctl.wire"],
        [],
        False,
    ),
    ("labctl/pytest_plugin.py", ["labctl.testing", "labctl.engine", "labctl.errors"], ["pytest"], False),
    (
        "labctl/testing/*.py",
        ["labctl.testing", "labctl.commands", "labctl.engine", "labctl.faults", "labctl.model", "labctl.plan", "labctl.errors",
         "labctl.progress", "labctl.scenario", "labctl.paths", "labctl.wire", "labctl.words"],
        ["docker"],
        False,
    ),
    ("labctl/cli/*.py", ["labctl"], ["click", "rich", "rich_click"], False),
    ("labctl/__main__.py", ["labctl.cli.app"], [], False),
]  # fmt: skip
# The one place of `engine/` that commands may name beside its Protocol: nothing that talks to Docker.
NOT_FOR_COMMANDS = {"labctl.engine.sdk", "labctl.engine.failures", "labctl.engine.networks", "labctl.engine.readiness"}


def imports(path):
    """Yield the modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module


def allowed(module, own):
    if own == ["labctl"]:  # the command line may use all of labctl
        return module.partition(".")[0] == "labctl"
    if CORES in own and re.fullmatch(r"services\.\w+\.protocol", module):
        return True
    return any(module == name or (name != "labctl" and module.startswith(f"{name}.")) for name in own)


def cases():
    """Hold each file against its rows; where one names it alone, against that."""
    alone = {pattern for pattern, *_ in RULES if "*" not in pattern}
    for pattern, own, foreign, pure in RULES:
        for path in sorted(ROOT.glob(pattern)):
            special = str(path.relative_to(ROOT)) in alone and pattern not in alone
            if "examples" not in path.parts and not special:
                yield pytest.param(path, own, foreign, pure, id=str(path.relative_to(ROOT)))


@pytest.mark.parametrize(("path", "own", "foreign", "pure"), list(cases()))
def test_a_file_imports_only_what_its_place_allows(path, own, foreign, pure):
    for module in imports(path):
        top = module.partition(".")[0]
        if top in ("labctl", "services"):
            assert allowed(module, own), f"{path.name} may not import {module}"
        elif top in sys.stdlib_module_names:
            assert not pure or {top, module} & PURE_STDLIB, f"{path.name} is pure and may not import {module}"
        else:
            assert top in foreign, f"{path.name} may not import {module}"


def test_commands_never_reach_into_the_engine():
    for path in (ROOT / "labctl" / "commands").glob("*.py"):
        assert not NOT_FOR_COMMANDS & set(imports(path)), path


def test_every_module_stands_in_the_table():
    ruled = {path for pattern, *_ in RULES for path in ROOT.glob(pattern)}
    packages = {
        path
        for folder in ("labctl", "services")
        for path in (ROOT / folder).rglob("*.py")
        if path.name != "__init__.py"
    }
    assert {path for path in packages if "examples" not in path.parts} <= ruled


def test_pure_modules_read_no_clock():
    for pattern, _, _, pure in RULES:
        for path in ROOT.glob(pattern) if pure else ():
            calls = [n.attr for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Attribute)]
            assert not {"monotonic", "sleep", "perf_counter"} & set(calls), path


@pytest.mark.parametrize("path", [*ROOT.glob("bench/*.py"), *ROOT.glob("docs/*.py")], ids=lambda path: path.name)
def test_what_no_other_test_imports_finds_what_it_takes_from_labctl(path):
    """Measurements and the documents' programs run by hand, so a name that has moved would show only then."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("labctl"):
            module = importlib.import_module(node.module)
            for name in node.names:
                assert hasattr(module, name.name), f"{node.module} has no {name.name}"
