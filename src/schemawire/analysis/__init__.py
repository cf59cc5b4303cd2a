"""Words to a domain schema: the analyser protocol, the analyser that works offline, and the one that asks a model."""

from schemawire.analysis.analyser import MAX_DESCRIPTION_LENGTH, Analyser, AnalysisOptions, Draft, Tier, Usage
from schemawire.analysis.explaining import Explanation, explain
from schemawire.analysis.language_model.options import LlmOptions, LlmProvider
from schemawire.analysis.model_analyser import ModelAnalyser, Models, open_models
from schemawire.analysis.offline import OfflineAnalyser
from schemawire.analysis.refining.proposals import Choice, Proposal, Talk
from schemawire.analysis.refining.refiner import Refiner

__all__ = [
    "MAX_DESCRIPTION_LENGTH",
    "Analyser",
    "AnalysisOptions",
    "Choice",
    "Draft",
    "Explanation",
    "LlmOptions",
    "LlmProvider",
    "ModelAnalyser",
    "Models",
    "OfflineAnalyser",
    "Proposal",
    "Refiner",
    "Talk",
    "Tier",
    "Usage",
    "explain",
    "open_models",
]
