"""YAML as a sweep file needs it: no key twice in one place, 1e-3 is a number, dates are text.

    yaml.load("lr: [1e-3, 3e-3]", SweepLoader)          {"lr": [0.001, 0.003]}
    yaml.load("grid: {}\\ngrid: {}", SweepLoader)        refused: the second grid would replace the first

All else is as in any configuration file: ``on`` and ``off`` are true and false.
"""

from __future__ import annotations

import re
from typing import Any

import yaml
from yaml.composer import ComposerError


class SweepLoader(yaml.SafeLoader):
    """PyYAML's safe loader with these differences."""

    def compose_mapping_node(self, anchor: dict[Any, Any]) -> yaml.MappingNode:
        """A mapping as it stands in the file, before what ``<<`` merges into it."""
        node = super().compose_mapping_node(anchor)
        lines: dict[tuple[str, str], int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue  # refused later: no name of an option
            line, name = key.start_mark.line + 1, (key.tag, key.value)
            if name in lines:
                first = f"{key.value} stands there twice, first on line {lines[name]}"
                raise ComposerError(None, None, first, key.start_mark)
            lines[name] = line
        return node


SweepLoader.add_implicit_resolver(  # YAML 1.1 asks for a point and a sign: 1.0e-3
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+$"),
    list("-+.0123456789"),
)
SweepLoader.yaml_implicit_resolvers = {  # no option is a date, and a wrong one would be no YAML error
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in SweepLoader.yaml_implicit_resolvers.items()
}
