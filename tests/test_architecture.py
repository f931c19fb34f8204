"""The import map: downwards only, and each foreign library in one package."""

import ast
import inspect
import subprocess
import sys
from functools import cache, partial
from pathlib import Path
from types import FunctionType, MethodType

import pytest

from tests.waiting import until

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "lib_sdtune").rglob("*.py"))

LEVELS = [  # a file may import from its own line and those above it
    "errors failures devices registry randomness progress swap sentences prompts prompt_lines job_queue",
    "declaration unknown_settings presets diffusion toyworld formats optim.schedules",
    "sections optim ldm pages",
    "networks families contradictions",
    "artefacts data",
    "loaded_model access",
    "methods lora_tools",
    "host config",
    "ineffective_settings settings_import",
    "training",
    "services report",
    "evaluation",
    "jobs",
    "app",
    "ui api cli __main__ extension",
]
LEVEL = {f"lib_sdtune.{name}": number for number, line in enumerate(LEVELS) for name in line.split()}
IMPORTED_BY = {"gradio": ("lib_sdtune.ui",), "fastapi": ("lib_sdtune.api", "lib_sdtune.ui.standalone"),
               "argparse": ("lib_sdtune.__main__", "lib_sdtune.cli"), "modules": ("lib_sdtune.host.webui", "lib_sdtune.extension")}


def module_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def imports(path):
    """The module of every import, also of late ones and of those for type checkers; `from a import b` counts as a.b, which
    may be a module.
    """
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the map"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


def place(module):
    """The longest known prefix of a module's name."""
    parts = module.split(".")
    return next((name for n in range(len(parts), 1, -1) if (name := ".".join(parts[:n])) in LEVEL), None)


def test_every_file_has_one_level():
    names = " ".join(LEVELS).split()
    assert [name for name in names if names.count(name) > 1] == []


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_imports_go_downwards(path):
    own = place(module_of(path))
    if own is None:
        assert module_of(path) == "lib_sdtune", "give this file a place in LEVELS"
        return
    for name in imports(path):
        if name.startswith("lib_sdtune.") and name != "lib_sdtune.__version__":
            assert place(name) is not None, f"{name} has no place in LEVELS"
            assert LEVEL[place(name)] <= LEVEL[own], f"{own} must not import {name}"


def imported_by_file():
    """module -> the modules of ours that it imports, itself aside."""
    modules = {module_of(path) for path in FILES}
    named = {module_of(path): {name if name in modules else name.rpartition(".")[0] for name in imports(path)} for path in FILES}
    return {module: (names & modules) - {module} for module, names in named.items()}


def circle_of(arrows):
    """Places that lead to each other in a circle, in its order; () where there are none."""
    over, path = set(), []

    def follow(place):
        if place in path:
            return (*path[path.index(place):], place)
        if place in over:
            return ()
        path.append(place)
        found = next(filter(None, map(follow, sorted(arrows[place]))), ())
        path.pop()
        over.add(place)
        return found

    return next(filter(None, map(follow, sorted(arrows))), ())


def test_no_files_import_each_other_in_a_circle():
    assert circle_of(imported_by_file()) == ()


def test_no_rooms_import_each_other_in_a_circle():
    rooms = {name: set() for name in LEVEL}
    for module, names in imported_by_file().items():
        if own := place(module):
            rooms[own] |= {place(name) for name in names} - {own, None}
    assert circle_of(rooms) == ()


def test_a_circle_is_found():
    assert circle_of({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == ()
    assert circle_of({"a": {"b"}, "b": {"c"}, "c": {"d", "b"}, "d": set()}) == ("b", "c", "b")


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_foreign_libraries_stay_in_their_package(path):
    for name in imports(path):
        packages = IMPORTED_BY.get(name.split(".")[0])
        assert packages is None or module_of(path).startswith(packages), f"{name} belongs into {' or '.join(packages)}"


ASKING_FOR_AUTOCAST = {"lib_sdtune.devices", "lib_sdtune.training.precision", "lib_sdtune.training.cuda_graphs",
                       "lib_sdtune.training.layer_norms"}


def names_of_torch(path):
    """Every dotted name in a file that begins with torch."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and (name := ast.unparse(node)).startswith("torch."):
            yield name
        elif isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith("torch."):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_autocast_is_asked_for_where_a_device_without_it_is_thought_of():
    """All but the first are reached with half precision alone, which `devices.compute_dtype` gives no device without autocast."""
    asking = {module_of(path) for path in FILES if any("autocast" in name for name in names_of_torch(path))}
    assert asking == ASKING_FOR_AUTOCAST, "use devices.without_autocast and devices.autocast_dtype"


@pytest.mark.parametrize("entry", ["lib_sdtune.app", "lib_sdtune.api.router", "lib_sdtune.ui.context", "lib_sdtune.__main__"])
def test_starting_is_cheap(entry):
    """What the WebUI imports at its start loads no torch of ours; a broken torch must leave a tab that says so."""
    if not any(module_of(path) == entry for path in FILES):
        pytest.skip(f"{entry} is not there")
    code = f"import sys, {entry}; sys.exit(sum(name in sys.modules for name in ('torch', 'PIL', 'numpy', 'safetensors')))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


COMPOSED = ("app", "jobs", "job_queue", "access", "services", "evaluation", "api")  # whose objects app.py puts together
CONTAINERS = dict, list, tuple, set, frozenset, partial, MethodType, FunctionType


def holds(instance):
    """The objects of our composed rooms that an object holds: attributes, also in containers, bound methods and closures."""
    if isinstance(instance, dict):
        parts = [*instance.keys(), *instance.values()]
    elif isinstance(instance, list | tuple | set | frozenset):
        parts = list(instance)
    elif isinstance(instance, partial):
        parts = [instance.func, *instance.args, *instance.keywords.values()]
    elif isinstance(instance, MethodType):
        parts = [instance.__self__]
    elif isinstance(instance, FunctionType):
        parts = [cell.cell_contents for cell in instance.__closure__ or ()]
    else:
        parts = list(vars(instance).values())
    for part in parts:
        if is_composed(part):
            yield part
        elif isinstance(part, CONTAINERS):
            yield from holds(part)


def is_composed(instance):
    module = f"{type(instance).__module__}."
    return hasattr(instance, "__dict__") and any(module.startswith(f"lib_sdtune.{room}.") for room in COMPOSED)


def circle(instance, path=()):
    """The classes of objects that hold each other in a circle, somewhere below an object; () if there are none."""
    if any(instance is above for above in path):
        return tuple(type(part).__name__ for part in (*path, instance))
    circles = (circle(part, (*path, instance)) for part in holds(instance))
    return next((classes for classes in circles if classes), ())


def below(instance):
    """The objects that an object holds, directly or through others."""
    return [further for part in holds(instance) for further in (part, *below(part))]


def classes(instances):
    return {type(instance).__name__ for instance in instances}


@pytest.fixture
def app(host, images):
    """An app in which everything has been used."""
    from lib_sdtune.app import App
    from tests.hosts import settings

    app = App(lambda: host)
    app.captions.open({"images": str(images)})
    app.evaluation.files()
    app.inspection.start({"images": str(images)})
    app.submit(settings(images, train={"max_train_steps": 1}))
    until(lambda: app.context.queue.idle)
    return app


def services(app):
    rooms = "lib_sdtune.services", "lib_sdtune.evaluation"
    return [service for service in vars(app).values() if type(service).__module__.startswith(rooms) and service is not app.context]


def test_objects_do_not_hold_each_other_in_circles(app):
    assert {"Jobs", "JobQueue", "ServiceContext", "CaptionEditor", "EvaluationService", "Task"} <= classes(below(app))
    assert circle(app) == ()


def test_services_know_neither_the_runs_nor_each_other(app):
    assert classes(services(app)) == imported_services()
    forbidden = {"App", "Jobs", *classes(services(app))}
    for service in services(app):
        assert not classes(below(service)) & forbidden, service
        assert not names_in(inspect.getfile(type(service))) & (forbidden - {type(service).__name__}), service


def imported_services():
    """The classes of services that app.py imports."""
    names = {name for name in imports(ROOT / "lib_sdtune" / "app.py") if name.startswith(("lib_sdtune.services.", "lib_sdtune.evaluation."))}
    return {name.rpartition(".")[2] for name in names if name.rpartition(".")[2][0].isupper()} - {"ServiceContext"}


def names_in(path):
    return {node.id for node in ast.walk(ast.parse(Path(path).read_text(encoding="utf-8"))) if isinstance(node, ast.Name)}


def test_a_circle_through_a_method_or_a_closure_is_noticed():
    from lib_sdtune.services.context import ServiceContext
    from lib_sdtune.services.task import TaskService

    context = ServiceContext(lambda: None)
    service = TaskService(context)
    assert circle(service) == ()
    for link in ([service.status], {"key": lambda: service}, partial(print, service)):
        context.link = link
        assert circle(service) == ("TaskService", "ServiceContext", "TaskService")
