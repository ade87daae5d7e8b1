# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders the templates of M(sitelink.tr069.site_layer_info) on the controller, as M(sitelink.tr069.site_layer) does.

What cannot be rendered or asked is a difference and no failure: whoever asks does all of it then, and says what is wrong.
"""

from __future__ import annotations

import contextlib
import typing as t

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible.utils.unsafe_proxy import wrap_var
from ansible_collections.sitelink.tr069.plugins.action.site_layer import ActionModule as SiteLayer
from ansible_collections.sitelink.tr069.plugins.action.site_layer import trust_as_template


def _final(value: t.Any) -> t.Any:
    """Before 2.19 ansible-core templates what a variable holds at each use, also where that came out of a template."""
    return value if trust_as_template else wrap_var(value)


class ActionModule(SiteLayer):
    _role_path = ""

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        variables = dict(task_vars or {})
        args = dict(self._task.args)
        ActionBase.run(self, tmp, variables)
        once = args.pop("once", None) or []
        if not isinstance(once, list):
            raise AnsibleActionFail("once: write a list of names of variables")
        condition, stated = (args.pop(option, None) for option in ("condition", "variable"))
        if condition and condition not in once:
            once = [*once, condition]
        for name in once:
            if name == condition:
                if not boolean(self._value(name, variables), strict=False):
                    return {"changed": False, "skipped": True, "skip_reason": f"{condition} is false"}
                continue
            # Whoever uses it says what is wrong, and a false condition uses less.
            with contextlib.suppress(AnsibleError):
                variables[name] = _final(self._value(name, variables))
        secrets: dict[str, str] = {}
        try:
            layers = self._value(stated, variables) if stated else args.get("layers")
            layers = [self._layer(layer, secrets, variables) for layer in layers or []]
        except AnsibleError as error:
            return {"changed": False, "differing": [str(error)]}
        args.update(layers=layers, secrets=secrets)
        result = self._run_module(args, variables, "sitelink.tr069.site_layer_info")
        if result.get("failed"):
            site = variables.get("inventory_hostname")
            # Its own words may hold what a template held.
            self._display.v(f"{site}: site_layer_info could not compare; every role looks by itself.")
            return {"changed": False, "differing": [f"{site}: the module ended without an answer"]}
        return result

    def _value(self, name: str, variables: dict[str, t.Any]) -> t.Any:
        """What a variable comes to."""
        text = "{{ " + str(name) + " }}"
        templar = self._templar.copy_with_new_env(available_variables=variables)
        return templar.template(trust_as_template(text) if trust_as_template else text)

    def _layer(self, layer: t.Any, secrets: dict[str, str], variables: dict[str, t.Any]) -> dict[str, t.Any]:
        """What the module gets for one layer. secrets: gets the contents that are to be shown nowhere, by their paths."""
        if not isinstance(layer, dict) or not isinstance(layer.get("files", []), list):
            raise AnsibleActionFail("layers: write a list of layers, each with a list of files")
        self._role_path = str(layer.get("role_path") or "")
        if self._role_path:  # for what is looked up within a template
            places = [self._role_path, *variables.get("ansible_search_path", [])]
            variables = {**variables, "ansible_search_path": places}
        present = layer.get("state", "present") == "present"
        files = [self._file(file, present, {}, variables) for file in layer.get("files", [])]
        for file in files:
            if isinstance(file, dict) and "secret_content" in file:
                secrets[str(file.get("dest"))] = file.pop("secret_content")
        return {**{name: value for name, value in layer.items() if name != "role_path"}, "files": files}

    def _find_needle(self, dirname: str, needle: str) -> str:
        places = [place for place in (self._role_path,) if place] + self._task.get_search_path()
        found: str = self._loader.path_dwim_relative_stack(places, dirname, needle)
        return found
