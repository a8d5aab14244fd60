"""A tenant's data taken out of a database in one snapshot, checked, and put back.

Pure: manifest, tape, pieces, ordering, selection, sql. What does I/O: places, sealing, archive, snapshot, taking,
checking, and what restores. It speaks to the server directly, never through the proxy; who is paused meanwhile is the
caller's to arrange.
"""
