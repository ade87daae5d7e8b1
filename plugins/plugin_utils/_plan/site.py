# SPDX-License-Identifier: GPL-3.0-or-later
"""One site of an inventory."""

from __future__ import annotations

import json
import re
import typing as t
from collections.abc import Mapping

from ansible_collections.sitelink.tr069.plugins.plugin_utils import _spelling
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.hostvars import plain, templates, way
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.report import Report, shown
from ansible_collections.sitelink.tr069.plugins.plugin_utils._plan.variables import (
    ANSIBLES_OWN,
    CONNECTION,
    GONE,
    Row,
    by_default,
    default,
    is_secret,
    known_variables,
    needs_a_value,
    shared_by,
    table,
)
from ansible_collections.sitelink.tr069.plugins.plugin_utils._readers import text
from ansible_collections.sitelink.tr069.plugins.plugin_utils._readers.fault import Fault, quote, without_keys


class Site:
    """One site's variables: values that could be read, the rest reported. A default for what is not given."""

    def __init__(
        self, name: str, hostvars: Mapping[str, t.Any], variables: Mapping[str, t.Any] | None, report: Report
    ) -> None:
        """
        :param variables: the site's own of hostvars; None when they cannot be read, because a file of them cannot be
            decrypted or parsed. The message of that error may hold its text.
        """
        self.name = name
        self._report = report
        self._values: dict[str, t.Any] = dict(by_default())
        self._faulty: set[str] = set()
        self._given: set[str] = set()
        self._empty: dict[str, t.Any] = {}
        self._otherwise: dict[str, t.Any] = {}
        if variables is None:
            variables = {}
            self.fault("hostvars", "cannot be read. Look at: ansible-inventory --host " + shown(name))
        for variable, row in table().items():
            if variable in variables:
                self._read(variable, row, hostvars, variables)
        self.way = way(variables)
        for variable in variables:
            if isinstance(variable, str) and variable not in known_variables():
                if variable.casefold().startswith("ansible_"):
                    self._check_connection(variable, variables)
                else:
                    self._check_unknown(variable, hostvars)

    def _read(self, variable: str, row: Row, hostvars: Mapping[str, t.Any], variables: Mapping[str, t.Any]) -> None:
        try:
            given = plain(variables[variable])
        except Exception:  # noqa: BLE001 - an error in a template or a vault; its message may hold a secret
            self.drop(variable, self._unresolved(hostvars, variable))
            return
        if (given is None or given == "") and not needs_a_value(variable):
            self._empty[variable] = given
            return
        self._given.add(variable)
        try:
            self._values[variable] = row.read(given)
        except Fault as fault:
            self.drop(variable, _half_width(row, given) or str(fault))
            return
        if not row.secret:
            meant = _plainly(given, self._values[variable])
            if meant != given:
                self._otherwise[variable] = meant

    def _check_unknown(self, variable: str, hostvars: Mapping[str, t.Any]) -> None:
        ours = _spelling.is_ours(variable)
        meant = _spelling.meant(variable, known_variables(), not ours)
        if variable in GONE:  # even where the operator's templates name it
            self.fault(variable, GONE[variable])
            return
        # What is no name of ours beside the right one may be the operator's.
        if not (ours or (meant and not self.gave(meant))) or variable in self._named(hostvars):
            return
        if meant:
            self.fault(variable, f"is not known to sitelink.tr069. Write {meant}, if that is meant.")
        else:
            self.fault(
                variable,
                "is not known to sitelink.tr069. Correct the name, or leave the line out. All names: docs/options.md.",
            )

    def _check_connection(self, variable: str, variables: Mapping[str, t.Any]) -> None:
        meant = _spelling.meant(variable, CONNECTION, True)
        if variable in ANSIBLES_OWN or not meant or meant in variables:
            return
        try:
            fact = isinstance(variables[variable], Mapping)  # of a NIC with such a name
        except Exception:  # noqa: BLE001 - an error in a template; Ansible does not read it either
            fact = False
        if not fact:
            self.fault(variable, f"is not known to Ansible. Write {meant}, if that is meant.")

    def _named(self, hostvars: Mapping[str, t.Any]) -> set[str]:
        """The words of the site's templates: a variable that one names is the operator's own, whatever it looks like."""
        if not hasattr(hostvars, "raw_get"):
            return set()
        raw = hostvars.raw_get(self.name)
        values = [raw[variable] for variable in raw if variable in known_variables() or _spelling.is_ours(variable)]
        return set(re.findall(r"\w+", " ".join(found for value in values for found in templates(value))))

    def _unresolved(self, hostvars: Mapping[str, t.Any], variable: str) -> str:
        template = ""
        if not is_secret(variable) and hasattr(hostvars, "raw_get"):
            template = next((f" {quote(found)}" for found in templates(hostvars.raw_get(self.name)[variable])), "")
        return (
            f"has a value{template} that cannot be resolved from this site's own variables. "
            "Name only variables of the inventory in it, and check the vault password."
        )

    def corrected(self) -> dict[str, t.Any]:
        """What the roles, which read the inventory themselves, have to be given instead of what stands there: the default where a
        variable is there without a value, and text without the blanks around it.
        """
        found = dict(self._otherwise)
        for variable, given in self._empty.items():
            shared = shared_by(variable)
            value = _plain(self.get(shared)) if shared else default(variable)
            if value is not None and value != given:
                found[variable] = value
        return found

    def fault(self, variable: str, predicate: str) -> None:
        self._faulty.add(variable)
        self._report.add(self.name, variable, predicate)

    def get(self, variable: str) -> t.Any:
        """The value, or None when it is not given or faulty."""
        return self._values.get(variable)

    def is_faulty(self, variable: str) -> bool:
        return variable in self._faulty

    def gave(self, variable: str) -> bool:
        """Whether the inventory sets the variable, rightly or wrongly."""
        return variable in self._given or variable in self._faulty

    def drop(self, variable: str, predicate: str) -> None:
        """Reports a value, and does not use it any further."""
        self._values.pop(variable, None)
        self.fault(variable, predicate)


def _half_width(row: Row, given: t.Any) -> str:
    """What to say of a value that can be read once its full-width and typographic characters are written as usual."""
    meant = text.meant_by(given)
    if row.secret or meant == given:
        return ""
    try:
        row.read(meant)
    except Fault:
        return ""
    wrong = text.wrong_character(json.dumps(given, ensure_ascii=False, default=str), "\x20-\x7e")
    shown_as = meant if isinstance(meant, str) else json.dumps(meant, default=str)
    if without_keys(shown_as) != shown_as:
        return ""
    return f"is {quote(given)}, which holds the character {wrong}. Write {shown_as}, with the keyboard in English (half-width) mode."


# What Ansible's own filter takes for true and false, as the roles do.
_TRUTHS = frozenset({"true", "yes", "on", "1", "false", "no", "off", "0"})


def _plainly(given: t.Any, read: t.Any) -> t.Any:
    """What was given, so that a role and the programs of the site cannot but take it as the plan does."""
    if isinstance(given, str) and isinstance(read, bool):
        return given if given.lower() in _TRUTHS else read
    if isinstance(given, str):
        stripped = given.strip()
        # For nftables 0305 is octal, and wg knows no 0X131.
        return str(read) if isinstance(read, int) and re.match("0[^x]", stripped) else stripped
    if isinstance(given, list):
        return [item.strip() if isinstance(item, str) else item for item in given]
    return given


def _plain(value: t.Any) -> t.Any:
    """A value that was read, without the types of the readers."""
    if isinstance(value, list):
        return [str(item) for item in value]
    return value if value is None or isinstance(value, (int, str)) else str(value)
