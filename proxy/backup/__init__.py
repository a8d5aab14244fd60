"""A tenant's data taken out of a database in one snapshot, checked, and put back.

Pure: manifest, tape, pieces, ordering, selection, sql, and what masks: pseudonyms, fakes, covering. What does I/O:
places, sealing, archive, snapshot, taking, checking, what restores, cloning and exporting. It speaks to the server
directly, never through the proxy; who is paused meanwhile is the caller's to arrange.
"""
