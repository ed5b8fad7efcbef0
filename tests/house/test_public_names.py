from house.public_names import ROOT, defined, unused_public_names


def test_a_public_name_is_exported_or_used_by_another_file():
    assert unused_public_names() == []


def test_names_are_found_where_a_file_defines_them():
    import ast

    tree = ast.parse("A, _b = 1, 2\nc: int = 3\ndef d(): ...\ndef _e(): ...\nclass F: ...\n")
    assert list(defined(tree)) == ["A", "c", "d", "F"]
    assert (ROOT / "src").is_dir()
