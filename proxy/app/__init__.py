"""The composition root: the only folder that builds services and hands them to each other.

`inputs` reads what a process is given, `application` is what its parts share, `services` builds them, `process` is the
life of one process.
"""
