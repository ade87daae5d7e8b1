# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders the templates of M(sitelink.tr069.site_layer) on the controller, and sends what the site has not got of other files.

By the templar, as M(ansible.builtin.template) does, and not by the template lookup: that copies all variables for each file, the
plan of the whole mesh included, and turns text that looks like JSON into a dictionary before ansible-core 2.19.
"""

from __future__ import annotations

import base64
import hashlib
import os
import typing as t

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible_collections.sitelink.tr069.plugins.plugin_utils._filters import import_filters

try:
    from ansible.template import trust_as_template
except ImportError:  # ansible-core below 2.19 templates whatever it is given
    trust_as_template = None
try:
    from ansible.template import generate_ansible_template_vars
except ImportError:  # announced to go in 2.23

    def generate_ansible_template_vars(*paths: str) -> dict[str, t.Any]:
        return {"ansible_managed": "Ansible managed"}


# Ansible loads this module before it forks.
import_filters()


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
        copies: dict[str, bytes] = {}
        args["files"] = [self._file(file, present, copies, variables) for file in args.get("files", [])]
        result = self._run_module(args, variables)
        lacking = result.pop("lacking", [])
        if lacking:
            for file in args["files"]:
                if file["dest"] in lacking:
                    file["base64"] = base64.b64encode(copies[file["dest"]]).decode()
            result = self._run_module(args, variables)
        if result.get("problems"):
            result["msg"] = f"{site}: {result['msg']}"
        return result

    def _run_module(
        self, args: dict[str, t.Any], variables: dict[str, t.Any], module: str = "sitelink.tr069.site_layer"
    ) -> dict[str, t.Any]:
        # All contents stand in the options: neither the log of the site nor the result says them once more.
        quiet = {**variables, "ansible_no_target_syslog": True}
        result: dict[str, t.Any] = self._execute_module(module, args, task_vars=quiet)
        result.pop("invocation", None)
        return result

    def _file(self, file: t.Any, present: bool, copies: dict[str, bytes], variables: dict[str, t.Any]) -> t.Any:
        """What the module gets for one file: its content in the place of its template, or its SHA-256. copies: gets the content then."""
        if not isinstance(file, dict):
            return file  # the module says what is wrong with it
        if file.get("copy"):
            return self._copy(file, present, copies, variables)
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
                f"{variables.get('inventory_hostname')}: {file.get('dest')}: write one of src, content and copy, and content as text. (Before 2.19 "
                "ansible-core makes a dictionary of text that looks like one: put it into a template, and name that in src.)"
            )
        found["secret_content" if secret else "content"] = given[0]
        return found

    def _copy(
        self, file: dict[str, t.Any], present: bool, copies: dict[str, bytes], variables: dict[str, t.Any]
    ) -> dict[str, t.Any]:
        """A file that the controller has. Its content is sent in a second turn, where the site has not got it."""
        found = {name: value for name, value in file.items() if name not in ("copy", "sha256", "advice")}
        if not present:
            return found
        about = f"{variables.get('inventory_hostname')}: {file.get('dest')}: "
        if any(file.get(name) for name in ("src", "content", "secret_content", "secret", "base64")):
            raise AnsibleActionFail(f"{about}write one of src, content and copy; a secret is given by src or content")
        advice = f" {file['advice']}" if file.get("advice") else ""
        try:
            content = self._content(self._find_needle("files", str(file["copy"])))
        except (AnsibleError, OSError) as error:
            raise AnsibleActionFail(
                f"{about}{file['copy']} cannot be read on the controller.{advice} {error}"
            ) from None
        found["sha256"] = hashlib.sha256(content).hexdigest()
        if file.get("sha256") and file["sha256"] != found["sha256"]:
            raise AnsibleActionFail(
                f"{about}{file['copy']} on the controller has the SHA-256 {found['sha256']} instead of {file['sha256']}.{advice}"
            )
        copies[str(file.get("dest"))] = content
        return found

    def _content(self, path: str) -> bytes:
        real = self._loader.get_real_file(path)  # of a vaulted one a copy
        try:
            with open(real, "rb") as file:
                return file.read()
        finally:
            self._loader.cleanup_tmp_file(real)

    def _render(self, file: dict[str, t.Any], secret: bool, variables: dict[str, t.Any]) -> str:
        try:
            return self._rendered(str(file["src"]), str(file.get("dest")), variables)
        except Exception as error:  # noqa: BLE001 - a template may raise anything
            words = "what is wrong is not shown, as it may quote the secret" if secret else str(error)
        # Not in the handler: the error would be told as its cause, or with its traceback.
        raise AnsibleActionFail(f"{variables.get('inventory_hostname')}: {file.get('dest')}: {file['src']}: {words}")

    def _rendered(self, src: str, dest: str, variables: dict[str, t.Any]) -> str:
        path = self._find_needle("templates", src)
        text = self._content(path).decode()
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
        # Before 2.19 the copy looks up with the variables of the original, and includes what another role's file of that name was.
        looks = {"lookup": templar._lookup, "query": templar._query_lookup, "q": templar._query_lookup}
        templar.environment.globals = {**templar.environment.globals, **looks}
        templar.environment.cache = None
        return str(templar.do_template(text, preserve_trailing_newlines=True, escape_backslashes=False))
