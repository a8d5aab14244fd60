"""The statement that a finding shows, tried at the server as the role that serves tenants.

What the doctor cannot know stands in it as a blank: a table's name, a guess, the tenant's own key. A test fills them
with what it has planted.
"""

from __future__ import annotations

from collections.abc import Mapping

import psycopg

from tests.kit.postgres import Cluster

Outcome = str | list[tuple[object, ...]]
"""An SQLSTATE, or the rows of the last statement; [] where it has none."""
BLANKS = ("…", "'own'", "'a guess'", "a_table", "tenant_column")


def filled(statement: str, blanks: Mapping[str, str]) -> str:
    """The statement without its comment, nothing left blank."""
    text = statement.partition(" -- ")[0]
    for blank, value in blanks.items():
        text = text.replace(blank, value)
    assert text, "the finding shows no statement"
    assert not [one for one in BLANKS if one in text and one not in blanks], text
    return text


def outcome(cluster: Cluster, database: str, role: str, sql: str, *, stays: bool = False) -> Outcome:
    """How a text ends for a role. stays: it cannot run in a transaction, which otherwise is rolled back."""
    with psycopg.connect(cluster.dsn(role, database), autocommit=stays) as connection:
        try:
            cursor = connection.execute(sql.encode())
            while cursor.nextset():
                pass
            return cursor.fetchall() if cursor.description else []
        except psycopg.Error as error:
            return error.sqlstate or type(error).__name__
        finally:
            if not connection.closed:
                connection.rollback()


def tried(
    cluster: Cluster, database: str, role: str, attack: str, blanks: Mapping[str, str], *, stays: bool = False
) -> Outcome:
    """How the attack of a finding ends."""
    return outcome(cluster, database, role, filled(attack, blanks), stays=stays)


def works(found: Outcome) -> bool:
    """Has the server done it?"""
    return not isinstance(found, str)
