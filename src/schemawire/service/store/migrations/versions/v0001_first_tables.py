"""The first tables.

Revision ID: 0001
Revises:
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.types import TypeEngine

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def _ordered(length: int) -> TypeEngine[str]:
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    """Make every table."""
    _create_store_meta()
    _create_projects()
    _create_versions()
    _create_elements()
    _create_element_references()
    _create_idempotency()
    _create_operations()
    _create_keys()


def downgrade() -> None:
    """Refuse: a database is never taken back to nothing."""
    raise NotImplementedError("there is nothing before the first tables; restore a back-up instead")


def _create_store_meta() -> None:
    op.create_table(
        "store_meta",
        sa.Column("store_id", sa.String(length=32), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("store_id", name="pk_store_meta"),
    )


def _create_projects() -> None:
    op.create_table(
        "projects",
        sa.Column("project_id", _ordered(128), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("header", sa.LargeBinary(), nullable=False),
        sa.Column("counts", sa.Text(), nullable=False),
        sa.Column("next_ordinal", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.Column("deleted_at", sa.Double(), nullable=True),
        sa.Column("settings", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("project_id", name="pk_projects"),
    )


def _create_versions() -> None:
    op.create_table(
        "versions",
        sa.Column("project_id", _ordered(128), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("parent", sa.String(length=64), nullable=True),
        sa.Column("header", sa.LargeBinary(), nullable=False),
        sa.Column("element_count", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=True),
        sa.Column("session_id", sa.Text(), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("project_id", "version", name="pk_versions"),
    )


def _create_elements() -> None:
    op.create_table(
        "elements",
        sa.Column("project_id", _ordered(128), nullable=False),
        sa.Column("kind_rank", sa.SmallInteger(), nullable=False),
        sa.Column("key", _ordered(260), nullable=False),
        sa.Column("valid_from", sa.BigInteger(), nullable=False),
        sa.Column("valid_to", sa.BigInteger(), nullable=True),
        sa.Column("ordinal", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("project_id", "kind_rank", "key", "valid_from", name="pk_elements"),
    )
    op.create_index(
        "uq_elements_current",
        "elements",
        ["project_id", "kind_rank", "key"],
        unique=True,
        sqlite_where=sa.text("valid_to IS NULL"),
        postgresql_where=sa.text("valid_to IS NULL"),
    )


def _create_element_references() -> None:
    op.create_table(
        "element_references",
        sa.Column("project_id", _ordered(128), nullable=False),
        sa.Column("refers_to", _ordered(260), nullable=False),
        sa.Column("kind_rank", sa.SmallInteger(), nullable=False),
        sa.Column("key", _ordered(260), nullable=False),
        sa.PrimaryKeyConstraint("project_id", "refers_to", "kind_rank", "key", name="pk_element_references"),
    )


def _create_idempotency() -> None:
    op.create_table(
        "idempotency",
        sa.Column("principal", sa.String(length=200), nullable=False),
        sa.Column("project_id", sa.String(length=128), nullable=False),
        sa.Column("route", sa.String(length=200), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("request_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("headers", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("principal", "project_id", "route", "key", name="pk_idempotency"),
    )
    op.create_index("ix_idempotency_created_at", "idempotency", ["created_at"], unique=False)


def _create_operations() -> None:
    op.create_table(
        "operations",
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
        sa.PrimaryKeyConstraint("operation_id", name="pk_operations"),
    )
    op.create_index("ix_operations_created_at_operation_id", "operations", ["created_at", "operation_id"], unique=False)
    op.create_index("ix_operations_finished_at", "operations", ["finished_at"], unique=False)
    op.create_index(
        "ix_operations_project_id_created_at_operation_id",
        "operations",
        ["project_id", "created_at", "operation_id"],
        unique=False,
    )
    op.create_index("ix_operations_state_available_at", "operations", ["state", "available_at"], unique=False)


def _create_keys() -> None:
    op.create_table(
        "keys",
        sa.Column("key_id", sa.String(length=32), nullable=False),
        sa.Column("sha256", sa.LargeBinary(length=32), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("projects", sa.Text(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=True),
        sa.Column("revoked_at", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("key_id", name="pk_keys"),
        sa.UniqueConstraint("sha256", name="uq_keys_sha256"),
    )
