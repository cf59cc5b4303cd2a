"""When something begins and ends: "a lease starts on a certain date" gives it a start date.

Knows trees and references; knows no schema.
"""

from collections.abc import Iterator
from dataclasses import replace

from schemawire.analysis.facts import PropertyFact, Source
from schemawire.analysis.parsing import Tree
from schemawire.analysis.references import References
from schemawire.analysis.tree_clauses import adjuncts, is_conditional, is_negated, modality, subjects
from schemawire.analysis.tree_filling import is_doer

_LIKELY = 0.7
_MOMENTS = {"start": "start", "begin": "start", "commence": "start", "end": "end", "finish": "end", "expire": "expiry"}


def read_times(tree: Tree, refer: References) -> Iterator[PropertyFact]:
    """Yield the dates and times on which things are said to begin and end."""
    for verb in tree:
        named = _MOMENTS.get(verb.lemma) if verb.is_verb else None
        if named is None or is_conditional(verb) or is_negated(verb):
            continue
        names = [name for doer in subjects(verb) if (name := refer.resolve(doer)) is not None]
        names = names or [name for name in (refer.subject,) if name is not None]
        nouns = [noun for word, _, behind in adjuncts(verb) if word in ("on", "at") for noun in behind[:1]]
        for noun in nouns:
            if names and noun.lower in ("date", "time", "day") and not is_doer(names[0], refer.context.lexicon):
                read = refer.phrases.read(noun)
                phrase = replace(read, words=(named, "time" if noun.lower == "time" else "date"), plural=False)
                source = Source(phrase.start, phrase.end, "parser:when", _LIKELY)
                optional = modality(verb) in ("may", "can", "might")
                yield PropertyFact(owner=names[0], phrase=phrase, source=source, certain=True, optional=optional)
