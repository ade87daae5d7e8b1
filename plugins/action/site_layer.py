# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders the templates of M(sitelink.tr069.site_layer) on the controller.

By the templar, as M(ansible.builtin.template) does, and not by the template lookup: that copies all variables for each file, the
plan of the whole mesh included, and turns text that looks like JSON into a dictionary before ansible-core 2.19.
"""

from __future__ import annotations

import os
import typing as t

from ansible.errors import AnsibleActionFail
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase

try:
    from ansible.template import trust_as_template
except ImportError:  # ansible-core below 2.19 templates whatever it is given
    trust_as_template = None
try:
    from ansible.template import generate_ansible_template_vars
except ImportError:  # announced to go in 2.23

    def generate_ansible_template_vars(*paths: str) -> dict[str, t.Any]:
        return {"ansible_managed": "Ansible managed"}


class ActionModule(ActionBase):
    _supports_check_mode = True
    _supports_diff = True

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        variables = task_vars or {}
        super().run(tmp, variables)
        args = dict(self._task.args)
        site = variables.get("inventory_hostname", "")
        present = args.get("state", "present") == "present"
        if not isinstance(args.get("files", []), list):
            raise AnsibleActionFail(f"{site}: files: write a list of files, each with dest and src")
        args["files"] = [self._file(file, present, variables) for file in args.get("files", [])]
        # All contents stand in the options: neither the log of the site nor the result says them once more.
        result = self._execute_module(
            "sitelink.tr069.site_layer", args, task_vars={**variables, "ansible_no_target_syslog": True}
        )
        result.pop("invocation", None)
        if result.get("problems"):
            result["msg"] = f"{site}: {result['msg']}"
        return result

    def _file(self, file: t.Any, present: bool, variables: dict[str, t.Any]) -> t.Any:
        """What the module gets for one file: its content in the place of its template."""
        if not isinstance(file, dict):
            return file  # the module says what is wrong with it
        given = [file[name] for name in ("content", "secret_content") if file.get(name) is not None]
        secret = boolean(file.get("secret", False), strict=False) or file.get("secret_content") is not None
        if present and file.get("src"):
            given.append(self._render(file, secret, variables))
        found = {name: value for name, value in file.items() if name not in ("src", "content", "secret_content")}
        found["secret"] = secret
        if not present:
            return found
        if len(given) != 1 or not isinstance(given[0], str):
            raise AnsibleActionFail(
                f"{variables.get('inventory_hostname')}: {file.get('dest')}: write either src or content, and that as text. (Before 2.19 "
                "ansible-core makes a dictionary of text that looks like one: put it into a template, and name that in src.)"
            )
        found["secret_content" if secret else "content"] = given[0]
        return found

    def _render(self, file: dict[str, t.Any], secret: bool, variables: dict[str, t.Any]) -> str:
        try:
            return self._rendered(str(file["src"]), str(file.get("dest")), variables)
        except Exception as error:  # noqa: BLE001 - a template may raise anything
            words = "what is wrong is not shown, as it may quote the secret" if secret else str(error)
        # Not in the handler: the error would be told as its cause, or with its traceback.
        raise AnsibleActionFail(f"{variables.get('inventory_hostname')}: {file.get('dest')}: {file['src']}: {words}")

    def _rendered(self, src: str, dest: str, variables: dict[str, t.Any]) -> str:
        path = self._find_needle("templates", src)
        real = self._loader.get_real_file(path)  # of a vaulted one a copy
        try:
            with open(real, encoding="utf-8") as file:
                text = file.read()
        finally:
            self._loader.cleanup_tmp_file(real)
        about = generate_ansible_template_vars(src, path, dest)
        if "ansible_managed" in variables:
            about.pop("ansible_managed", None)
        places = [*variables.get("ansible_search_path", []), self._loader.get_basedir(), os.path.dirname(path)]
        templar = self._templar.copy_with_new_env(
            searchpath=[each for place in places for each in (os.path.join(place, "templates"), place)],
            available_variables={**variables, **about},
        )
        if trust_as_template:
            return str(templar.template(trust_as_template(text), escape_backslashes=False))
        return str(templar.do_template(text, preserve_trailing_newlines=True, escape_backslashes=False))
