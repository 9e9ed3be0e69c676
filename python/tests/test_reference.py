# SPDX-License-Identifier: MIT OR Apache-2.0
"""docs/python.md has every public name with its parameters, defaults, types and results, and none that there is not."""

import ast
import inspect
import re
from pathlib import Path

import pytest

import uncopy
import uncopy.aio

PAGE = (Path(__file__).parents[2] / "docs/python.md").read_text()
STUB = ast.parse((Path(uncopy.__file__).parent / "_uncopy.pyi").read_text())
AIO = ast.parse(Path(uncopy.aio.__file__).read_text())

FUNCTIONS = {name: thing for name in uncopy.__all__ if inspect.isbuiltin(thing := getattr(uncopy, name))}
ERRORS = {name: thing for name in uncopy.__all__ if inspect.isclass(thing := getattr(uncopy, name)) and issubclass(thing, uncopy.Error)}
CLASSES = {name: thing for name in uncopy.__all__ if inspect.isclass(thing := getattr(uncopy, name)) and name not in ERRORS}


def sections():
    """What is below each heading that names something, up to the next heading."""
    parts = re.split(r"^#+ (.*)$", PAGE, flags=re.MULTILINE)[1:]
    return {title.strip("`"): text for title, text in zip(parts[::2], parts[1::2], strict=True)}


SECTIONS = sections()


def cells(text, header):
    """The rows of a table, by their first cells; a cell may have several names."""
    rows = {}
    for table in re.findall(rf"^\| {header} \|.*\n\|[-|]+\n((?:\|.*\n)+)", text, re.MULTILINE):
        for row in table.splitlines():
            first, *rest = [cell.strip() for cell in row.strip("|").split(" | ")]
            rows.update({name: rest for name in re.findall(r"`([^`]+)`", first)})
    return rows


def members(tree, name):
    """What the stub says of a class or, by no name, of the module: its functions and properties."""
    body = tree.body if name is None else next(at.body for at in tree.body if isinstance(at, ast.ClassDef) and at.name == name)
    return {at.name: at for at in body if isinstance(at, ast.FunctionDef | ast.AsyncFunctionDef)} | {
        at.target.id: at for at in body if isinstance(at, ast.AnnAssign)
    }


ALIASES = {
    "_Meta": "any",
    "_Captured": "float, pair",
    **{at.targets[0].id: at.value for at in STUB.body if isinstance(at, ast.Assign) and at.targets[0].id in ("_Clock", "_Origin")},
}


def words(annotation):
    """An annotation as the page writes it: `int | None` is "int or None"."""

    def kinds(node):
        match node:
            case ast.BinOp(left=left, right=right):
                return kinds(left) + kinds(right)
            case ast.Subscript(value=ast.Name(id="Literal"), slice=chosen):
                return [ast.unparse(value) for value in getattr(chosen, "elts", [chosen])]
            case ast.Name(id=name) if name in ALIASES:
                alias = ALIASES[name]
                return alias.split(", ") if isinstance(alias, str) else kinds(alias)
            case _:
                return [ast.unparse(node).replace("builtins.", "")]

    *first, last = kinds(annotation)
    return f"{', '.join(first)} or {last}" if first else last


def signature(function, stub):
    """name(parameters) -> result: parameters and defaults of the running module, the result as the stub has it."""
    found = inspect.signature(function)
    parameters = [each.replace(annotation=inspect.Parameter.empty) for each in found.parameters.values() if each.name != "self"]
    shown = str(found.replace(parameters=parameters, return_annotation=inspect.Signature.empty))
    result = ast.unparse(stub.returns).replace("builtins.", "").strip("'")
    return f"{function.__name__}{shown} -> {result}"


def check_call(title, function, stub):
    text = SECTIONS[title]
    code = re.search(r"^```text\n(.*)\n```$", text, re.MULTILINE)
    assert code, f"'{title}' shows no signature"
    assert re.sub(r"^(await )?([a-z]+\.)+", "", code[1]) == signature(function, stub)
    named = cells(text, "parameter")
    expected = [each for each in inspect.signature(function).parameters if each != "self"]
    assert set(named) <= set(expected), "a row for what is no parameter"
    missing = [each for each in expected if each not in named and not re.search(rf"`{each}[`=]", text)]
    assert not missing, f"'{title}' does not tell of {missing}"


def check_class(title, methods_title, kind, tree):
    stub = members(tree, kind.__name__)
    if kind in (uncopy.Array, uncopy.Slot, uncopy.Frame):
        stub |= {name: at for name, at in members(tree, "_AnyArray").items() if name not in stub}
    public = {name: vars(kind)[name] for name in vars(kind) if not name.startswith("_")}
    methods = {name: thing for name, thing in public.items() if callable(thing)}
    rows = cells(SECTIONS[title], "attribute")
    assert set(rows) == set(public) - set(methods)
    for name, (type_of, meaning) in rows.items():
        at = stub[name]
        annotation = at.annotation if isinstance(at, ast.AnnAssign) else at.returns
        # In asyncio the stub says nothing of one.
        assert annotation is None or type_of == words(annotation), f"{title}.{name}"
        assert meaning
    for name, method in methods.items():
        check_call(f"{methods_title}.{name}", method, stub[name])
    told = {each.removeprefix(f"{methods_title}.") for each in SECTIONS if each.startswith(f"{methods_title}.")}
    assert told == set(methods)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_is_on_the_page_as_it_is(name):
    check_call(f"uncopy.{name}", FUNCTIONS[name], members(STUB, None)[name])


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_is_on_the_page_with_all_that_it_has(name):
    check_class(f"uncopy.{name}", name, CLASSES[name], STUB)


def test_asyncio_is_on_the_page_as_it_is():
    assert uncopy.aio.__all__ == ["Subscriber", "subscribe"]
    check_call("uncopy.aio.subscribe", uncopy.aio.subscribe, members(AIO, None)["subscribe"])
    check_class("uncopy.aio.Subscriber", "aio.Subscriber", uncopy.aio.Subscriber, AIO)


def test_each_error_is_on_the_page_with_the_built_ins_that_it_is():
    rows = cells(SECTIONS["Errors"], "error")
    bases = {name: ", ".join(base.__name__ for base in kind.__bases__ if base is not uncopy.Error) for name, kind in ERRORS.items()}
    assert {name: row[0] for name, row in rows.items()} == bases
    assert all(row[1] for row in rows.values())


def test_the_page_names_nothing_that_is_not_there():
    told = {title.removeprefix("uncopy.") for title in SECTIONS if title.startswith("uncopy.")}
    assert told - {"aio", "aio.subscribe", "aio.Subscriber"} == set(FUNCTIONS) | set(CLASSES) | {"__version__"}
    assert {*FUNCTIONS, *CLASSES, *ERRORS, "__version__"} == set(uncopy.__all__)


def test_each_link_of_the_pages_leads_to_a_heading():
    root = Path(__file__).parents[2]
    for page in [root / "README.md", *(root / "docs").glob("*.md"), *(root / "docs/concepts").glob("*.md")]:
        for target, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)#([^)\s]+)\)", page.read_text()):
            other = (page.parent / target).resolve() if target else page
            headings = re.findall(r"^#+ (.*)$", other.read_text(), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in slugs, f"{page.name}: {target}#{anchor}"
