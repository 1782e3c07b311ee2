"""Names of plug-ins: listed without importing, loaded one at a time, refused with reasons."""

import re
import sys

import pytest

from factorexe.registry import PluginError, Registry, suggestion

TASK = """
    from factorexe.tasks.addition import Addition

    class Plus(Addition):
        '''Add.'''
"""


def tasks(*lines):
    return {"factorexe.tasks": list(lines)}


def test_listing_imports_nothing(install):
    install("their-package", tasks("plus = their_broken:Plus"), their_broken="raise RuntimeError('imported')")
    assert "plus" in Registry("tasks").names()
    assert ("plus", "their-package 1.0") in Registry("tasks").listing()
    assert "their_broken" not in sys.modules


def test_an_installed_plugin_is_loaded_with_its_origin(install):
    install("their-package", tasks("plus = their_plus:Plus"), version="2.5", their_plus=TASK)
    plugin = Registry("tasks").get("plus")
    assert plugin.cls.__name__ == "Plus"
    assert (plugin.name, plugin.origin) == ("plus", "their-package 2.5")


def test_a_misspelled_name_is_answered_with_the_right_one():
    with pytest.raises(PluginError, match="'multiplicaton'; did you mean multiplication"):
        Registry("tasks").get("multiplicaton")


def test_a_name_like_no_other_is_answered_with_all_of_them():
    with pytest.raises(PluginError, match="known: addition, bin-packing"):
        Registry("tasks").get("zzz")
    assert suggestion("zzz", []) == "known: none"


def test_ours_wins_and_theirs_is_spelled_with_its_package(install):
    install("their-package", tasks("addition = their_plus:Plus"), their_plus=TASK)
    names = dict(Registry("tasks").listing())
    assert names["their-package/addition"] == "their-package 1.0"
    with pytest.warns(UserWarning, match="their-package/addition"):
        assert Registry("tasks").get("addition").cls.__name__ == "Addition"
    assert Registry("tasks").get("their-package/addition").cls.__name__ == "Plus"
    assert Registry("tasks").get("Their_Package/addition").cls.__name__ == "Plus"
    assert Registry("tasks").get("factorexe/addition").cls.__name__ == "Addition"


def test_two_strangers_with_one_name_have_to_be_told_apart(install):
    install("one-package", tasks("plus = one_plus:Plus"), one_plus=TASK)
    install("two-package", tasks("plus = two_plus:Plus"), two_plus=TASK)
    with pytest.raises(PluginError, match="one-package/plus or two-package/plus"):
        Registry("tasks").get("plus")
    assert Registry("tasks").get("two-package/plus").cls.__module__ == "two_plus"
    assert {"one-package/plus", "two-package/plus"} <= set(dict(Registry("tasks").listing()))


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import a_package_that_is_missing", "ModuleNotFoundError: No module named 'a_package_that_is_missing'"),
        ("1 / 0", "ZeroDivisionError"),
        ("raise SystemExit", "SystemExit: no message"),
        ("def", "SyntaxError"),
        ("", "AttributeError"),
    ],
)
def test_a_broken_plugin_names_its_package_and_harms_no_other(install, source, reason):
    install("their-package", tasks("plus = their_plus:Plus"), their_plus=source)
    with pytest.raises(
        PluginError, match=r"'plus' \(their_plus:Plus, from their-package 1\.0\) cannot be loaded: "
    ) as caught:
        Registry("tasks").get("plus")
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)
    assert Registry("tasks").get("addition").cls.__name__ == "Addition"


@pytest.mark.parametrize(
    "source", ["class Plus: pass", "Plus = 3", "from factorexe.tasks.addition import Addition\nPlus = Addition()"]
)
def test_another_kind_of_thing_is_refused(install, source):
    install("their-package", tasks("plus = their_plus:Plus"), their_plus=source)
    with pytest.raises(PluginError, match="tasks holds subclasses of Task"):
        Registry("tasks").get("plus")


def test_a_plugin_of_another_contract_is_refused(install):
    source = "from factorexe.tasks.addition import Addition\nclass Plus(Addition):\n    api_version = 2\n"
    install("their-package", tasks("plus = their_plus:Plus"), their_plus=source)
    with pytest.raises(PluginError, match="version 2 of the plug-in contract; this is 1"):
        Registry("tasks").get("plus")


def test_an_option_called_name_is_refused(install):
    source = "from factorexe.tasks.addition import Addition\nclass Plus(Addition):\n    name: str = 'x'\n"
    install("their-package", tasks("plus = their_plus:Plus"), their_plus=source)
    with pytest.raises(PluginError, match="option called 'name'"):
        Registry("tasks").get("plus")


def test_a_class_may_be_named_by_its_module():
    plugin = Registry("tasks").get("factorexe.tasks.addition:Addition")
    assert plugin.cls.__name__ == "Addition"
    assert plugin.origin.startswith("sha256 ")


def test_a_class_may_be_named_by_its_file_and_its_content_is_its_version(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("from factorexe.tasks.addition import Addition\nclass Plus(Addition):\n    '''One.'''\n")
    before = Registry("tasks").get(f"{file}:Plus").origin
    assert Registry("tasks").get(f"{file}:Plus").origin == before
    file.write_text(file.read_text().replace("One", "Two, and longer"))
    assert Registry("tasks").get(f"{file}:Plus").origin != before


@pytest.mark.parametrize(
    "name", ["./absent.py:Plus", "absent_module:Plus", "factorexe.tasks.addition:Absent", ":", "a:"]
)
def test_a_class_path_that_leads_nowhere_is_refused_by_name(name):
    with pytest.raises(PluginError, match="cannot be loaded"):
        Registry("tasks").get(name)


@pytest.mark.parametrize("group", ["tasks", "models", "objectives", "optimizers"])
def test_our_own_names_are_kebab_case_and_load(group):
    for name in Registry(group).names():
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)
        assert Registry(group).get(name).cls.__doc__


def test_what_is_installed_after_the_first_look_is_found(install):
    assert "plus" not in Registry("tasks").names()
    install("their-package", tasks("plus = their_plus:Plus"), their_plus=TASK)
    assert "plus" in Registry("tasks").names()
    assert Registry("tasks").get("plus").origin == "their-package 1.0"


def test_entry_points_that_are_written_anew_are_read_anew(install, tmp_path):
    install("their-package", tasks("plus = their_plus:Plus"), their_plus=TASK)
    assert "plus" in Registry("tasks").names()
    written = tmp_path / "site" / "their_package-1.0.dist-info" / "entry_points.txt"
    written.write_text("[factorexe.tasks]\nplus_also = their_plus:Plus\n")
    assert "plus_also" in Registry("tasks").names()
    assert "plus" not in Registry("tasks").names()
    written.unlink()
    assert "plus_also" not in Registry("tasks").names()


def test_entry_points_are_read_once_while_nothing_changes(monkeypatch):
    Registry("tasks").names()
    monkeypatch.setattr("factorexe.installed.entry_points", lambda **group: pytest.fail("read again"))
    assert "addition" in Registry("tasks").names()
