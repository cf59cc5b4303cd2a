"""Where the rows of a version stand, so that a large write can put them elsewhere first and switch over at once.

Revision ID: 0003
Revises: 0002
"""

from collections.abc import Callable

import sqlalchemy as sa
from alembic import op
from sqlalchemy.types import TypeEngine

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

Item = sa.Column[str] | sa.Column[int] | sa.Column[float] | sa.Column[bytes] | sa.PrimaryKeyConstraint


def _ordered(length: int) -> TypeEngine[str]:
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    """Add the columns and the table."""
    if op.get_bind().dialect.name == "sqlite":
        _make_again("projects", _projects)
        _make_again("versions", _versions)
    else:
        op.add_column("projects", sa.Column("rows_id", _ordered(128), nullable=True))
        op.add_column("versions", sa.Column("rows_id", _ordered(128), nullable=True))
    op.create_table(
        "stagings",
        sa.Column("rows_id", _ordered(128), nullable=False),
        sa.Column("project_id", _ordered(128), nullable=False),
        sa.Column("what", sa.String(length=16), nullable=False),
        sa.Column("touched_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("rows_id", name="pk_stagings"),
    )
    op.create_index("ix_stagings_touched_at", "stagings", ["touched_at"], unique=False)


def downgrade() -> None:
    """Refuse: versions whose rows stand elsewhere could not be read any more."""
    raise NotImplementedError("rows that stand elsewhere cannot be moved back; restore a back-up instead")


def _make_again(name: str, columns: Callable[[], list[Item]]) -> None:
    """Make a table as it would be made today; SQLite would write an added column down in another form."""
    op.rename_table(name, f"former_{name}")
    op.create_table(name, *columns())
    wanted = [column.name for column in columns() if isinstance(column, sa.Column) and column.name != "rows_id"]
    names = ", ".join(f'"{column}"' for column in wanted)
    op.execute(f"INSERT INTO {name} ({names}) SELECT {names} FROM former_{name}")  # noqa: S608  # names from above
    op.drop_table(f"former_{name}")


def _projects() -> list[Item]:
    return [
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
        sa.Column("rows_id", _ordered(128), nullable=True),
        sa.PrimaryKeyConstraint("project_id", name="pk_projects"),
    ]


def _versions() -> list[Item]:
    return [
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
        sa.Column("rows_id", _ordered(128), nullable=True),
        sa.PrimaryKeyConstraint("project_id", "version", name="pk_versions"),
    ]
