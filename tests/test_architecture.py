"""Holds the import table of the architecture: data flows one way, and systems do not know each other."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from vossegcli.names import SYSTEM_NAMES

PACKAGE = Path(__file__).parents[1] / "vossegcli"
STDLIB_ONLY = {"names", "types", "scores", "errors", "given", "named_parts", "setting_types", "wording"}
TORCH_ONLY = {"samples"}
RECORDS = STDLIB_ONLY | TORCH_ONLY
ALLOWED = {
    "api": {"runners", "batch", "models", "systems", "io", "metrics", "ops", "types", "errors", "given"},
    "cli": {"runners", "batch", "reports", "names", "errors", "types", "given", "wording"},
    "runners": {
        "batch",
        "models",
        "training",
        "data",
        "systems",
        "io",
        "metrics",
        "reports",
        "ops",
        "samples",
        "names",
        "types",
        "scores",
        "errors",
        "setting_types",
        "wording",
    },
    "batch": {"models", "io", "reports", "types", "errors", "names", "setting_types"},
    "models": {"systems", "io", "ops", "types", "errors"},
    "training": {"types", "errors", "named_parts", "setting_types"},
    "data": {"io", "ops", "samples", "types", "errors", "wording"},
    "systems": {"layers", "ops", "samples", "types", "errors", "named_parts"},
    "reports": {"scores"},
    "metrics": {"ops", "scores", "types", "errors"},
    "io": {"types", "errors", "wording"},
    "layers": {"ops"},
    "ops": set(),
    "samples": set(),
    "names": set(),
    "types": set(),
    "scores": set(),
    "errors": set(),
    "given": set(),
    "named_parts": set(),
    "setting_types": {"errors"},
    "wording": set(),
}
#: The kinds of files, and what each knows of the others; other tools' annotations hold the RLE of results.
IO_ALLOWED = {
    "datasets": {"media", "masks", "results", "records"},
    "results": {"media", "masks", "records"},
    "masks": {"media", "records"},
    "media": {"records"},
    "weights": {"records"},
    "records": set(),
}
FILES = sorted(
    path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE or path.stem in STDLIB_ONLY | TORCH_ONLY
)


def layer_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_modules(tree: ast.AST) -> list[str]:
    modules = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            modules += [f"{node.module}.{alias.name}" for alias in node.names]
    return modules


def own_layer(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if parts[0] == "vossegcli" and len(parts) > 1 else None


def named_systems(tree: ast.AST) -> set[str]:
    """Find the systems that code names, in identifiers and in strings that are no docstrings."""
    prose = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body and isinstance(node.body[0], ast.Expr)
    }  # fmt: skip
    words = []
    for node in ast.walk(tree):
        if id(node) not in prose:
            words += [str(value) for _, value in ast.iter_fields(node) if isinstance(value, str)]
    text = " ".join(words).lower().replace("-", "").replace("_", "")
    return {name for name in SYSTEM_NAMES if name.replace("-", "") in text}


def test_every_folder_is_in_the_table() -> None:
    assert {layer_of(path) for path in FILES} <= set(ALLOWED)


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_imports_follow_the_table(path: Path) -> None:
    layer = layer_of(path)
    for module in imported_modules(ast.parse(path.read_text(encoding="utf-8"))):
        target = own_layer(module)
        if target is not None and target != "__version__":
            assert target == layer or target in ALLOWED[layer], f"{layer} imports {module}"


@pytest.mark.parametrize("layer", ["io", "runners"])
def test_kinds_of_files_and_tasks_know_of_each_other_what_the_table_says(layer: str) -> None:
    for path in (p for p in FILES if layer_of(p) == layer):
        own = path.relative_to(PACKAGE).parts[1].removesuffix(".py")
        modules = [m.split(".") for m in imported_modules(ast.parse(path.read_text(encoding="utf-8")))]
        used = {parts[2] for parts in modules if parts[:2] == ["vossegcli", layer]} - {own}
        allowed = IO_ALLOWED.get(own, set()) if layer == "io" else set()
        assert used <= allowed, f"{path}: {layer}/{own} imports {sorted(used - allowed)}"


@pytest.mark.parametrize("name", sorted(STDLIB_ONLY))
def test_base_modules_use_the_standard_library_only(name: str) -> None:
    tree = ast.parse((PACKAGE / f"{name}.py").read_text(encoding="utf-8"))
    for node in tree.body:  # an import under `if TYPE_CHECKING` is for annotations alone
        for module in imported_modules(node) if isinstance(node, ast.Import | ast.ImportFrom) else []:
            own = [other for other in ALLOWED[name] if module.startswith(f"vossegcli.{other}")]
            assert own or module.split(".")[0] in sys.stdlib_module_names, module


@pytest.mark.parametrize("name", sorted(TORCH_ONLY))
def test_records_of_tensors_use_torch_only(name: str) -> None:
    tree = ast.parse((PACKAGE / f"{name}.py").read_text(encoding="utf-8"))
    for module in imported_modules(tree):
        assert module.split(".")[0] in {*sys.stdlib_module_names, "torch"}, module


@pytest.mark.parametrize("path", [p for p in FILES if layer_of(p) == "systems"], ids=lambda p: p.name)
def test_systems_do_not_import_siblings(path: Path) -> None:
    parts = path.relative_to(PACKAGE / "systems").parts
    if len(parts) == 1:
        return
    for module in imported_modules(ast.parse(path.read_text(encoding="utf-8"))):
        if module.startswith("vossegcli.systems."):
            assert module.split(".")[2] in {parts[0], "base"}, module


def test_the_command_line_imports_runners_inside_commands_only() -> None:
    for path in FILES:
        if layer_of(path) == "cli":
            top = [n for n in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(n, ast.ImportFrom)]
            assert not [n.module for n in top if n.module and n.module.startswith("vossegcli.runners")], path


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("vossegcli.cli.app", {"torch", "numpy", "scipy", "PIL", "av"}),
        ("vossegcli.runners.evaluate.run", {"torch", "scipy.ndimage", "av", "imageio", "jinja2"}),
        ("vossegcli.runners.evaluate.vos", {"torch", "scipy", "av", "pycocotools"}),
    ],
)
def test_importing_loads_nothing_heavy_that_is_not_needed(module: str, heavy: set[str]) -> None:
    code = f"import sys, {module}; print(sorted({heavy} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_a_system_is_named_only_where_it_belongs() -> None:
    """Another system must be addable without touching runners, commands, readers or writers."""
    for path in FILES:
        if layer_of(path) not in {"systems", "names"}:
            tree = ast.parse(path.read_text(encoding="utf-8"))
            assert not named_systems(tree), f"{path} names {sorted(named_systems(tree))}"


@pytest.mark.parametrize("name", SYSTEM_NAMES)
@pytest.mark.parametrize("code", ['if system == "{}": x', "import a.{under}", "from a.{under}.b import c", "{camel}()",
                                  'f"for {} alone"', "x.{under} = 1", "def f({under}): x"])  # fmt: skip
def test_every_spelling_of_a_system_is_seen(name: str, code: str) -> None:
    tree = ast.parse(code.format(name, under=name.replace("-", "_"), camel=name.replace("-", "").upper()))
    assert named_systems(tree) == {name}


def test_prose_may_cite_a_system() -> None:
    assert not named_systems(ast.parse('"""As in FWB."""\ndef f():\n    "AFB-URR\'s."\n    return 1  # b2inst'))
