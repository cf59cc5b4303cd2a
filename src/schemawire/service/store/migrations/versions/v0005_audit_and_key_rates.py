"""The audit log; keys carry a rate of their own, and the key that took their place.

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.types import TypeEngine

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def _ordered(length: int) -> TypeEngine[str]:
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    """Make the table, and add the columns."""
    op.create_table(
        "audit",
        sa.Column("line_id", _ordered(32), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("principal", sa.String(length=200), nullable=False),
        sa.Column("action", sa.String(length=200), nullable=False),
        sa.Column("project_id", _ordered(128), nullable=True),
        sa.Column("outcome", sa.String(length=64), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=True),
        sa.Column("request_id", sa.String(length=128), nullable=False),
        sa.Column("address", sa.String(length=100), nullable=True),
        sa.Column("client", sa.String(length=100), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("line_id", name="pk_audit"),
    )
    op.create_index("ix_audit_at", "audit", ["at"], unique=False)
    op.create_index("ix_audit_project_id_line_id", "audit", ["project_id", "line_id"], unique=False)
    if op.get_bind().dialect.name == "sqlite":
        _make_keys_again()
    else:
        op.add_column("keys", sa.Column("rate", sa.Double(), nullable=True))
        op.add_column("keys", sa.Column("replaced_by", sa.String(length=32), nullable=True))


def downgrade() -> None:
    """Drop them again; the log is lost."""
    op.drop_table("audit")
    with op.batch_alter_table("keys") as table:
        table.drop_column("replaced_by")
        table.drop_column("rate")


def _make_keys_again() -> None:
    """Make the table as it would be made today; SQLite would write an added column down in another form."""
    names = "key_id, sha256, name, scopes, projects, created_at, expires_at, revoked_at"
    op.rename_table("keys", "former_keys")
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
        sa.Column("rate", sa.Double(), nullable=True),
        sa.Column("replaced_by", sa.String(length=32), nullable=True),
        sa.PrimaryKeyConstraint("key_id", name="pk_keys"),
        sa.UniqueConstraint("sha256", name="uq_keys_sha256"),
    )
    op.execute(f"INSERT INTO keys ({names}) SELECT {names} FROM former_keys")  # noqa: S608  # names from above
    op.drop_table("former_keys")
