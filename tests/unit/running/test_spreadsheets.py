"""Tables that people give: one content however a spreadsheet saved it, and each fault by its name."""

import pytest

from smooseg.errors import SmoosegError
from smooseg.running.spreadsheets import read_table, whole_number

ROWS = [{"cluster": "0", "name": "meadow, dry"}, {"cluster": "1", "name": "void"}]
PLAIN = 'cluster,name\n0,"meadow, dry"\n1,void\n'
SAVED = {
    "as it should be": PLAIN.encode(),
    "byte order mark": PLAIN.encode("utf-8-sig"),
    "Windows line ends": PLAIN.replace("\n", "\r\n").encode(),
    "old Mac line ends": PLAIN.replace("\n", "\r").encode(),
    "semicolons": b"cluster;name\n0;meadow, dry\n1;void\n",
    "tabs": b"cluster\tname\n0\tmeadow, dry\n1\tvoid\n",
    "Excel's Unicode text": "cluster\tname\r\n0\tmeadow, dry\r\n1\tvoid\r\n".encode("utf-16"),
    "separator in the first line": b"sep=;\r\ncluster;name\r\n0;meadow, dry\r\n1;void\r\n",
    "separator in quotes": b'"sep=;"\ncluster;name\n0;meadow, dry\n1;void\n',
    "separator that no header shows": b"sep=|\ncluster|name\n0|meadow, dry\n1|void\n",
    "capitals and spaces": b'Cluster , NAME\n0, "meadow, dry"\n 1, void \n',
    "empty rows": b'\n,,\ncluster,name\n,\n\n0,"meadow, dry"\n ,\n1,void\n,\n,\n',
    "empty columns": b'cluster,name,,\n0,"meadow, dry",,\n1,void,,\n',
    "an index": b',cluster,name\n0,0,"meadow, dry"\n1,1,void\n',
    "a column twice": b'cluster,name,name\n0,"meadow, dry",x\n1,void,y\n',
}


@pytest.mark.parametrize("saved", SAVED.values(), ids=SAVED)
def test_a_table_is_the_same_however_it_was_saved(tmp_path, saved):
    (tmp_path / "t.csv").write_bytes(saved)
    rows = [row for _, row in read_table(tmp_path / "t.csv", ("cluster", "name"))]
    assert [{key: row[key] for key in ("cluster", "name")} for row in rows] == ROWS


def test_rows_know_their_lines(tmp_path):
    (tmp_path / "t.csv").write_text('sep=;\nname;id\n\n"a\nb";1\nc\n')
    assert read_table(tmp_path / "t.csv") == [(5, {"name": "a\nb", "id": "1"}), (6, {"name": "c", "id": ""})]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", r"is no table with the columns name and id: there is no name and no id \(it is empty\)"),
        (b"sky,0\n", r"there is no name and no id \(its header is 'sky', '0'\)"),
        (b"Name;Nummer\nsky;0\n", r"there is no id \(its header is 'name', 'nummer'\)"),
        (b"name,id\nsky,grey,0\n", "line 2 has more cells than the header; put quotes around such a name"),
        ("name,id\nfôret,0\n".encode("cp1252"), r"is no UTF-8 text \(.*\); save it as CSV in UTF-8"),
        (b"PK\x03\x04\xff\xfe", "is no UTF-8 text"),
    ],
)
def test_the_fault_has_its_name(tmp_path, content, fault):
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(SmoosegError, match=f"t.csv: .*{fault}") as caught:
        read_table(tmp_path / "t.csv", ("name", "id"))
    assert "\n" not in str(caught.value)


def test_whole_numbers_of_spreadsheets():
    assert [whole_number(cell) for cell in ("0", "0.0", "7,00", "-1")] == [0, 0, 7, -1]
    for cell in ("", "x", "0.5", "1.000", "1e3", "nan", "inf"):  # 1.000 is a thousand to some, and one to others
        with pytest.raises(ValueError, match=f"'{cell}' is no whole number"):
            whole_number(cell)
