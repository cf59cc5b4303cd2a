"""Conversations about projects, their turns, and what was undone.

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.types import TypeEngine

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def _ordered(length: int) -> TypeEngine[str]:
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "conversations",
        sa.Column("project_id", _ordered(128), nullable=False),
        sa.Column("session_id", _ordered(200), nullable=False),
        sa.Column("talk", sa.Text(), nullable=False),
        sa.Column("turns", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("project_id", "session_id", name="pk_conversations"),
    )
    op.create_index("ix_conversations_updated_at", "conversations", ["updated_at"], unique=False)
    op.create_table(
        "conversation_turns",
        sa.Column("project_id", _ordered(128), nullable=False),
        sa.Column("session_id", _ordered(200), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("said", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("explanation", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=True),
        sa.Column("principal", sa.String(length=200), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("project_id", "session_id", "number", name="pk_conversation_turns"),
    )
    op.create_index("ix_conversation_turns_created_at", "conversation_turns", ["created_at"], unique=False)
    op.create_table(
        "undone_versions",
        sa.Column("project_id", _ordered(128), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("restored", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project_id", "version", name="pk_undone_versions"),
    )


def downgrade() -> None:
    """Drop them again; the conversations are lost, the versions they made are not."""
    op.drop_table("undone_versions")
    op.drop_table("conversation_turns")
    op.drop_table("conversations")
