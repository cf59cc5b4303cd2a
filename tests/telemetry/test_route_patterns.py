"""The patterns by which the handler's calls are counted are the service's own routes."""

import pytest

from schemawire.protocol import paths
from schemawire.service.routes import ROUTERS

ROUTES = {route.path for router in ROUTERS for route in router.routes}  # type: ignore[attr-defined]  # all have one

BUILT = [
    paths.HEALTH, paths.METRICS, paths.BATCH, paths.OPERATIONS, paths.PROMETHEUS_METRICS, paths.API_ROOT,
    paths.project("shop"), paths.stream("shop"), paths.submit("shop"), paths.versions("shop"),
    paths.version("shop", 7), paths.export("shop", "sql"), paths.analyze("shop"), paths.operation("op-1"),
    paths.operation_status("op-1"), paths.refine("shop"), paths.undo("shop"),
]  # fmt: skip


@pytest.mark.parametrize("path", BUILT)
def test_a_built_path_has_the_pattern_of_its_route(path: str) -> None:
    """Each path that the handler builds is counted under the route that answers it."""
    assert paths.pattern(path) in ROUTES


def test_no_id_is_part_of_a_pattern() -> None:
    """However many projects there are, there is one pattern."""
    patterns = {paths.pattern(paths.version(f"p{number}", number + 1)) for number in range(100)}
    assert patterns == {"/api/domain-schema/{projectId}/versions/{version}"}


@pytest.mark.parametrize("path", ["", "/", "/api/domain-schema/", "/api/domain-schema/a//b/c", "/elsewhere"])
def test_any_other_path_is_no_error(path: str) -> None:
    """A path that nobody built has some pattern too."""
    assert paths.pattern(path) or path == ""
