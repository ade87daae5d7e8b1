# SPDX-License-Identifier: GPL-3.0-or-later
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "shared"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "tests" / "browser"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "lab"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "tests" / "metrics"))
