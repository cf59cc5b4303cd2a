"""A mark on the next operation of each project, so that finding work costs no look at what waits behind it.

Revision ID: 0007
Revises: 0006
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_COLUMNS = (
    "operation_id, project_id, kind, state, payload, progress, attempts, max_attempts, lease_owner, lease_expires_at, "
    "available_at, priority, session_id, principal, idempotency_key, result, error, created_at, updated_at, "
    "finished_at, webhook, trace"
)
_IS_MARKED = {"sqlite": "is_next IS 1 AND finished_at IS NULL", "postgresql": "is_next IS true AND finished_at IS NULL"}
_MARK = """
    UPDATE operations SET is_next = {true} WHERE finished_at IS NULL AND NOT EXISTS (
        SELECT 1 FROM operations AS earlier WHERE earlier.project_id = operations.project_id
        AND earlier.finished_at IS NULL AND earlier.created_at < operations.created_at)
"""


def upgrade() -> None:
    """Add the column, mark what comes next, and make the indexes over what is marked."""
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    op.drop_index("ix_operations_state_available_at", table_name="operations")
    op.drop_index("ix_operations_finished_at", table_name="operations")
    if is_sqlite:
        _make_operations_again()
    else:
        op.add_column("operations", sa.Column("is_next", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.execute(sa.text(_MARK.format(true="1" if is_sqlite else "true")))
    ranked: list[str | sa.TextClause] = [sa.text("priority DESC"), "available_at", "operation_id"]
    _index("ix_operations_next", ranked, **_IS_MARKED)
    _index("ix_operations_due", ["state", "available_at"], **_IS_MARKED)
    _index("ix_operations_finished_at", ["finished_at"], **dict.fromkeys(_IS_MARKED, "finished_at IS NOT NULL"))


def downgrade() -> None:
    """Drop the mark again."""
    op.drop_index("ix_operations_due", table_name="operations")
    op.drop_index("ix_operations_next", table_name="operations")
    with op.batch_alter_table("operations") as table:
        table.drop_column("is_next")
    op.drop_index("ix_operations_finished_at", table_name="operations")
    op.create_index("ix_operations_finished_at", "operations", ["finished_at"], unique=False)
    op.create_index("ix_operations_state_available_at", "operations", ["state", "available_at"], unique=False)


def _index(name: str, columns: Sequence[str | sa.TextClause], *, sqlite: str, postgresql: str) -> None:
    op.create_index(
        name, "operations", columns, unique=False, sqlite_where=sa.text(sqlite), postgresql_where=sa.text(postgresql)
    )


def _make_operations_again() -> None:
    """Make the table as it would be made today; SQLite would write an added column down in another form."""
    for name in ("project_id_created_at_operation_id", "created_at_operation_id", "unfinished"):
        op.drop_index(f"ix_operations_{name}", table_name="operations")
    op.rename_table("operations", "former_operations")
    text, words = sa.Text, sa.String
    op.create_table(
        "operations",
        sa.Column("operation_id", words(32), nullable=False),
        sa.Column("project_id", words(128), nullable=False),
        sa.Column("kind", words(64), nullable=False),
        sa.Column("state", words(16), nullable=False),
        sa.Column("payload", text(), nullable=False),
        sa.Column("progress", sa.Double(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("max_attempts", sa.Integer(), nullable=False),
        sa.Column("lease_owner", words(128)),
        sa.Column("lease_expires_at", sa.Double()),
        sa.Column("available_at", sa.Double(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        *(sa.Column(each, text()) for each in ("session_id", "principal")),
        sa.Column("idempotency_key", words(255)),
        *(sa.Column(each, text()) for each in ("result", "error")),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.Column("finished_at", sa.Double()),
        *(sa.Column(each, text()) for each in ("webhook", "trace")),
        sa.Column("is_next", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.PrimaryKeyConstraint("operation_id", name="pk_operations"),
    )
    op.execute(f"INSERT INTO operations ({_COLUMNS}) SELECT {_COLUMNS} FROM former_operations")  # noqa: S608 - our own names
    op.drop_table("former_operations")
    op.create_index("ix_operations_project_id_created_at_operation_id", "operations",
                    ["project_id", "created_at", "operation_id"])  # fmt: skip
    op.create_index("ix_operations_created_at_operation_id", "operations", ["created_at", "operation_id"])
    op.create_index("ix_operations_unfinished", "operations", ["project_id", "created_at"],
                    sqlite_where=sa.text("finished_at IS NULL"))  # fmt: skip
