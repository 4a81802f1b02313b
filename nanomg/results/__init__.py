"""Result files: groups, attributes, parts of a sweep, and how they are read."""
