"""Where copies land, case by case (S12, S13, S18, S19)."""

from __future__ import annotations

import unicodedata

import pytest

from domain.destination_paths import (
    MAX_PATH_BYTES,
    beside,
    calibrated_name,
    check_template,
    clean_part,
    normalise_folder,
    path_claim,
    render,
)
from domain.errors import InvalidInput


def rendered(
    template: str, *, filename: str = "image_001.fits", project: str = "Galaxy Survey", target: str = "M31"
) -> str:
    return render("/fits-data", template, filename, user="jsmith", project=project, target=target)


@pytest.mark.parametrize(
    ("template", "path"),
    [
        ("$TARGET", "/fits-data/M31/image_001.fits"),
        ("$PROJECT/$TARGET", "/fits-data/Galaxy_Survey/M31/image_001.fits"),
        ("$USER/$PROJECT/$TARGET", "/fits-data/jsmith/Galaxy_Survey/M31/image_001.fits"),
        ("", "/fits-data/image_001.fits"),
        ("/nights//$TARGET/", "/fits-data/nights/M31/image_001.fits"),
        ("by $USER/$TARGET-$PROJECT", "/fits-data/by_jsmith/M31-Galaxy_Survey/image_001.fits"),
        ("../$TARGET/./..", "/fits-data/M31/image_001.fits"),
        ("$TARGET\\raw", "/fits-data/M31/raw/image_001.fits"),
    ],
)
def test_s13_templates_give_these_paths(template: str, path: str) -> None:
    assert rendered(template) == path


def test_the_root_is_a_destination_too() -> None:
    assert render("/", "$TARGET", "x.fits", user="u", project="p", target="t") == "/t/x.fits"
    assert render("/", "", "x.fits", user="u", project="p", target="t") == "/x.fits"


def test_s18_a_missing_project_or_target_has_a_name_of_its_own() -> None:
    assert rendered("$PROJECT/$TARGET", project="", target="") == "/fits-data/no_project/no_target/image_001.fits"


@pytest.mark.parametrize(
    "target", ["../../etc", "..", ".", "/etc", "a/../../b", "..\\..\\x", "\u2044..", "a\x00b", "a\nb"]
)
def test_s18_a_value_can_not_leave_the_folder_nor_make_another(target: str) -> None:
    path = rendered("$TARGET", target=target)
    parts = path.split("/")
    assert parts[:2] == ["", "fits-data"]
    assert parts[-1] == "image_001.fits"
    assert len(parts) == 4
    assert parts[2] not in ("", ".", "..")


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("Galaxy Survey", "Galaxy_Survey"),
        ("a\u00a0b\tc", "a_b_c"),
        ("NGC/7000", "NGC_7000"),
        ('a"*:<>?|\\b', "a________b"),
        ("x\u202egnp", "x_gnp"),
        ("cafe\u0301", "café"),
        ("", "unknown"),
        ("...", "unknown"),
        (".hidden", "hidden"),
        ("M31.", "M31"),
        ("CON", "_CON"),
        ("lpt1.txt", "_lpt1.txt"),
        ("Com²", "_Com²"),
        ("Thumbs.db", "_Thumbs.db"),
        ("~$x", "_~$x"),
        ("console", "console"),
        ("🔭", "🔭"),
        ("\ud800", "_"),
    ],
)
def test_s18_a_part_is_cleaned_like_this(text: str, part: str) -> None:
    assert clean_part(text) == part


def test_a_long_part_is_shortened_to_255_bytes_and_keeps_its_extension() -> None:
    name = clean_part("α" * 300 + ".fits.fz")
    assert len(name.encode()) <= 255
    assert name.startswith("ααα")
    assert name.endswith(".fits.fz")
    assert len(rendered("", filename="x" * 300 + ".fits.fz").rpartition("/")[2].encode()) == 255


def test_long_parts_that_differ_only_at_the_end_stay_different() -> None:
    assert clean_part("a" * 300 + "1.fits") != clean_part("a" * 300 + "2.fits")


def test_a_path_that_would_be_too_long_keeps_folder_and_name_and_joins_what_lies_between() -> None:
    folder = normalise_folder("/" + "/".join("d" * 101 for _ in range(5)))
    long = "x" * 300
    path = render(folder, "$USER/$PROJECT/$TARGET", f"{long}.fits", user="u" * 300, project=long, target=long)
    assert len(path.encode()) <= MAX_PATH_BYTES
    assert path.startswith(f"{folder}/uuu")
    assert path.endswith(".fits")
    assert path.count("/") == folder.count("/") + 2


@pytest.mark.parametrize(
    ("filename", "name"),
    [
        ("M31_Luminance_300s.fits", "M31_Luminance_300s_calibrated.fits"),
        ("x.fits.fz", "x_calibrated.fits.fz"),
        ("x", "x_calibrated"),
        ("x_calibrated.fits", "x_calibrated.fits"),
    ],
)
def test_s19_a_calibrated_file_says_so_before_its_extension(filename: str, name: str) -> None:
    assert calibrated_name(filename) == name


@pytest.mark.parametrize(
    ("text", "folder"),
    [
        ("/observatory/fits-data", "/observatory/fits-data"),
        ("observatory/fits-data/", "/observatory/fits-data"),
        ("  //a/./b// ", "/a/b"),
        ("\\a\\b", "/a/b"),
        ("", "/"),
        ("/", "/"),
        ("/ a / b ", "/a/b"),
        ("/cafe\u0301", "/café"),
        ("/a..b/...", "/a..b/..."),
    ],
)
def test_s12_a_destination_path_is_normalised(text: str, folder: str) -> None:
    assert normalise_folder(text) == folder
    assert normalise_folder(folder) == folder


@pytest.mark.parametrize(
    "text", ["/a/../b", "..", "/a\\..\\b", "/a/ .. /b", "/a\x00", "/a\nb", "/a\u202eb", f"/{'x' * 99}" * 6]
)
def test_s12_a_destination_path_that_climbs_hides_or_is_too_long_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        normalise_folder(text)
    assert refused.value.field == "destination_path"


@pytest.mark.parametrize("template", ["", "$USER", "$PROJECT/$TARGET", "$USER-1 ($TARGET)", "x" * 500])
def test_templates_without_unknown_variables_are_fine(template: str) -> None:
    check_template(template)


@pytest.mark.parametrize(
    ("template", "name"),
    [("$OBJECT", "$OBJECT"), ("$TARGET/$night", "$night"), ("$target", "$target"), ("$USER_name", "$USER_name")],
)
def test_s13_an_unknown_variable_is_refused_by_name(template: str, name: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_template(template)
    assert f"unknown variable {name};" in str(refused.value)
    assert refused.value.field == "path_template"


@pytest.mark.parametrize("template", ["$", "a$1", "costs $ 5", "$$USER", "${TARGET}", "$TARGET$", "$Ärger"])
def test_s13_a_dollar_that_begins_no_variable_is_refused(template: str) -> None:
    with pytest.raises(InvalidInput, match=r"known are \$USER, \$PROJECT, \$TARGET") as refused:
        check_template(template)
    assert refused.value.field == "path_template"


def test_a_template_has_at_most_500_characters() -> None:
    with pytest.raises(InvalidInput, match="500"):
        check_template("x" * 501)


def test_a_version_whose_name_is_taken_lands_beside_it() -> None:
    assert beside("/a/x.fits.fz", 42) == "/a/x~v42.fits.fz"
    assert beside("/x.fits", 42) == "/x~v42.fits"
    assert beside("/a.b/x", 42) == "/a.b/x~v42"


@pytest.mark.parametrize("name", ["x" * 250 + ".fits", "α" * 125 + ".fits", "x." + "y" * 253])
def test_a_long_name_stays_within_its_limit_beside_another(name: str) -> None:
    path = beside(f"/a/{name}", 123_456)
    assert len(path.rpartition("/")[2].encode()) <= 255
    assert "~v123456" in path


def test_paths_that_a_case_blind_provider_can_not_tell_apart_claim_the_same_name() -> None:
    assert path_claim("cfg", "/M31/X.fits") == path_claim("cfg", "/m31/x.FITS")
    assert path_claim("cfg", "/café") == path_claim("cfg", unicodedata.normalize("NFD", "/café"))
    assert path_claim("cfg", "/a") != path_claim("cfg", "/b")
    assert path_claim("cfg-1", "/a") != path_claim("cfg-2", "/a")


def test_the_longest_claim_fits_the_logs_names() -> None:
    widening = "/" + "ΐ" * 511
    assert len(path_claim("cfg", widening).encode()) < 2600
    assert path_claim("cfg", widening) != path_claim("cfg", widening + "x")
