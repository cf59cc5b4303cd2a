"""What must be announced to a broker, and webhook calls that are owed; operations carry a webhook and a trace.

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.types import TypeEngine

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def _ordered(length: int) -> TypeEngine[str]:
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    """Add the columns and the tables."""
    if op.get_bind().dialect.name == "sqlite":
        _make_operations_again()
    else:
        op.add_column("operations", sa.Column("webhook", sa.Text(), nullable=True))
        op.add_column("operations", sa.Column("trace", sa.Text(), nullable=True))
    _add_outbox()
    _add_deliveries()


def downgrade() -> None:
    """Drop them again; what was owed is forgotten."""
    op.drop_table("deliveries")
    op.drop_table("outbox")
    with op.batch_alter_table("operations") as table:
        table.drop_column("trace")
        table.drop_column("webhook")


def _add_outbox() -> None:
    op.create_table(
        "outbox",
        sa.Column("operation_id", sa.String(length=32), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("operation_id", name="pk_outbox"),
    )
    op.create_index("ix_outbox_created_at", "outbox", ["created_at"], unique=False)


def _add_deliveries() -> None:
    op.create_table(
        "deliveries",
        sa.Column("delivery_id", sa.String(length=32), nullable=False),
        sa.Column("operation_id", sa.String(length=32), nullable=False),
        sa.Column("project_id", _ordered(128), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.Double(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("finished_at", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("delivery_id", name="pk_deliveries"),
    )
    op.create_index("ix_deliveries_operation_id", "deliveries", ["operation_id"], unique=False)
    op.create_index("ix_deliveries_finished_at", "deliveries", ["finished_at"], unique=False)
    unfinished = sa.text("finished_at IS NULL")
    op.create_index(
        "ix_deliveries_unfinished", "deliveries", ["due_at"], unique=False, sqlite_where=unfinished,
        postgresql_where=unfinished,
    )  # fmt: skip


def _make_operations_again() -> None:
    """Make the table as it would be made today; SQLite would write an added column down in another form."""
    op.rename_table("operations", "former_operations")
    columns = _operation_columns()
    op.create_table("operations", *columns, sa.PrimaryKeyConstraint("operation_id", name="pk_operations"))
    names = ", ".join(f'"{column.name}"' for column in columns if column.name not in ("webhook", "trace"))
    op.execute(f"INSERT INTO operations ({names}) SELECT {names} FROM former_operations")  # noqa: S608  # names from below
    op.drop_table("former_operations")  # and with it the indexes, whose names are free now
    for index in (["project_id", "created_at", "operation_id"], ["created_at", "operation_id"],
                  ["state", "available_at"], ["finished_at"]):  # fmt: skip
        op.create_index(f"ix_operations_{'_'.join(index)}", "operations", index, unique=False)
    op.create_index(
        "ix_operations_unfinished", "operations", ["project_id", "created_at"], unique=False,
        sqlite_where=sa.text("finished_at IS NULL"),
    )  # fmt: skip


def _operation_columns() -> list[sa.Column[str] | sa.Column[int] | sa.Column[float]]:
    return [
        sa.Column("operation_id", sa.String(length=32), nullable=False),
        sa.Column("project_id", _ordered(128), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("progress", sa.Double(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("max_attempts", sa.Integer(), nullable=False),
        sa.Column("lease_owner", sa.String(length=128), nullable=True),
        sa.Column("lease_expires_at", sa.Double(), nullable=True),
        sa.Column("available_at", sa.Double(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("session_id", sa.Text(), nullable=True),
        sa.Column("principal", sa.Text(), nullable=True),
        sa.Column("idempotency_key", sa.String(length=255), nullable=True),
        sa.Column("result", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.Column("finished_at", sa.Double(), nullable=True),
        sa.Column("webhook", sa.Text(), nullable=True),
        sa.Column("trace", sa.Text(), nullable=True),
    ]
