"""Pipelines by name, so that code, operators and configuration speak of the same one; knows nothing of their layers."""

from collections.abc import Iterator, Mapping

from schemawire.errors import ConfigurationInvalid
from schemawire.resilience.pipeline import Pipeline, PipelineStatistics
from schemawire.resilience.pipeline_config import PipelineConfig


class PipelineRegistry:
    """Holds pipelines by name; there is no global one, so make one where your program starts and hand it on."""

    def __init__(self, *pipelines: Pipeline) -> None:
        self._pipelines: dict[str, Pipeline] = {}
        for pipeline in pipelines:
            self.add(pipeline)

    @classmethod
    def from_mapping(
        cls, tables: Mapping[str, Mapping[str, object]], *, where: str = "pipelines"
    ) -> "PipelineRegistry":
        """Return a registry with one pipeline for each table, see `PipelineConfig.from_mapping`.

        Raises:
            ConfigurationInvalid: a table is wrong; the message names the pipeline, the layer and the option.
        """
        configs = {name: PipelineConfig.from_mapping(table, where=f"{where}.{name}") for name, table in tables.items()}
        return cls(*(config.build(name=name) for name, config in configs.items()))

    def add(self, pipeline: Pipeline) -> Pipeline:
        """Add a pipeline under its name and return it.

        Raises:
            ConfigurationInvalid: there is one of that name already.
        """
        if pipeline.name in self._pipelines:
            raise ConfigurationInvalid(
                f"there is a pipeline named {pipeline.name!r} already",
                fix="Give it another `name=`, or `remove` the first.",
            )
        self._pipelines[pipeline.name] = pipeline
        return pipeline

    def remove(self, name: str) -> None:
        """Forget a pipeline; calls that hold it go on."""
        del self._pipelines[self[name].name]

    def __getitem__(self, name: str) -> Pipeline:
        try:
            return self._pipelines[name]
        except KeyError:
            known = ", ".join(sorted(self._pipelines)) or "none"
            raise KeyError(f"there is no pipeline named {name!r}; known: {known}") from None

    def __contains__(self, name: object) -> bool:
        return name in self._pipelines

    def __iter__(self) -> Iterator[Pipeline]:
        return iter(tuple(self._pipelines.values()))

    def __len__(self) -> int:
        return len(self._pipelines)

    def statistics(self) -> dict[str, PipelineStatistics]:
        """Return the state of every pipeline by name."""
        return {name: pipeline.statistics() for name, pipeline in self._pipelines.items()}
