"""Words to a domain schema: the analyser protocol and the analyser that works offline, without a model."""

from schemawire.analysis.analyser import MAX_DESCRIPTION_LENGTH, Analyser, AnalysisOptions, Draft, Tier
from schemawire.analysis.offline import OfflineAnalyser

__all__ = ["MAX_DESCRIPTION_LENGTH", "Analyser", "AnalysisOptions", "Draft", "OfflineAnalyser", "Tier"]
