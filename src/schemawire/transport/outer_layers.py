"""The policies around the choice of an endpoint, for the client and for each of its routes; knows no endpoint."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from schemawire.events import Listener
from schemawire.resilience.budget import RetryBudget
from schemawire.resilience.call import SUCCESS, Context, Judge, Judgement, Policy
from schemawire.resilience.fallback import Action, Fallback
from schemawire.resilience.hedge import Hedge, HedgeConfig
from schemawire.resilience.keyed_rate_limit import KeyedRateLimit
from schemawire.resilience.pipeline import Pipeline
from schemawire.resilience.rate_limit import RateLimit, RateLimitConfig
from schemawire.resilience.retry import Discard, Keep, Retry
from schemawire.resilience.retry_decision import RetryConfig
from schemawire.resilience.throttle import Throttle
from schemawire.resilience.timeout import Deadline, DeadlineConfig
from schemawire.transport.attempt import Call, judge
from schemawire.transport.policies import Policies
from schemawire.transport.routes import Inherit, RouteOptions
from schemawire.transport.slow_down import SlowDown
from schemawire.transport.verdict import SAFE_METHODS

T = TypeVar("T")
_AS_THE_CLIENT = RouteOptions()


class OuterLayers:
    """Makes the outer policies, and keeps them where their options change while calls run.

    A route shares every policy with the client that it does not have of its own, and always the budget: nothing that a
    route says can add more load than the client may.

    Args:
        budget: pays for retries and hedges.
        cache: answers what it can, whatever the route.
        judge_for_retry: what an outcome means to the retries.
        discard: closes a result that nobody will see.
        keep: saves a response that a further attempt is to better.
        listener: hears what the policies do.
    """

    def __init__(
        self,
        budget: RetryBudget,
        *,
        cache: Policy | None,
        judge_for_retry: Judge,
        discard: Discard,
        keep: Keep,
        listener: Listener | None,
    ) -> None:
        self._cache = cache
        self._budget = budget
        self._judge_for_retry = judge_for_retry
        self._discard = discard
        self._keep = keep
        self._listener = listener
        self._kept: dict[str, Policy] = {}

    @property
    def policies(self) -> Mapping[str, Policy]:
        """The policies by name; those of a route by its pattern and their name."""
        return self._kept

    def require_coherent(self, policies: Policies) -> None:
        """Check options without putting them in force.

        Raises:
            ConfigurationInvalid: they contradict each other.
        """
        trial = OuterLayers(
            self._budget, cache=self._cache, judge_for_retry=judge, discard=self._discard, keep=self._keep,
            listener=None,
        )  # fmt: skip
        trial.pipelines(policies)

    def replace_cache(self, cache: Policy | None) -> None:
        """Answer from another cache, or none, in the pipelines that are made from now on."""
        self._cache = cache

    def pipelines(self, policies: Policies) -> dict[str, Pipeline]:
        """Return the pipeline of each route, and under the empty name that of all other calls.

        A policy that was there before and still is goes on with its state and the new options.
        """
        made: dict[str, Policy] = {}
        keyed = policies.rate_per_key
        self._kept = {
            name: policy
            for name, policy in self._kept.items()
            if not isinstance(policy, RateLimit | KeyedRateLimit) or isinstance(policy, KeyedRateLimit) is keyed
        }
        by_route = {"": self._pipeline("", policies, _AS_THE_CLIENT, made)}
        for pattern, options in policies.routes.items():
            by_route[pattern] = self._pipeline(pattern, policies, options, made)
        self._kept = made
        return by_route

    def _pipeline(self, pattern: str, policies: Policies, own: RouteOptions, made: dict[str, Policy]) -> Pipeline:
        def layer(name: str, ours: T | None, theirs: T | Inherit | None, make: Callable[[T, str], Policy]) -> None:
            options = ours if isinstance(theirs, Inherit) else theirs
            key = name if isinstance(theirs, Inherit) or not pattern else f"{pattern} {name}"
            if options is None:
                return
            if key not in made:
                made[key] = self._renewed(self._kept.get(key), options) or make(options, key)
            layers.append(made[key])

        shared = Inherit.INHERIT
        layers: list[Policy] = [Deadline(DeadlineConfig(total=None))]
        if self._cache is not None:
            layers.append(self._cache)
        layer("fallback", policies.fallback, shared, self._fallback)
        layer("admission", policies.throttle, shared, self._throttle)
        layer("rate", policies.rate, own.rate, self._keyed_rate if policies.rate_per_key else self._rate)
        layer("hedge", policies.hedge, own.hedge, self._hedge)
        layer("retry", policies.retry, own.retry, self._retry)
        layer("pace", policies.slow_down, shared, lambda options, name: SlowDown(options, judge=judge, name=name))
        return Pipeline(layers, name=pattern or "client")

    def _fallback(self, action: Action, name: str) -> Policy:
        return Fallback(action, judge=_judge_for_fallback, listener=self._listener, name=name)

    def _renewed(self, kept: Policy | None, options: object) -> Policy | None:
        if kept is None:
            return None
        policy: Any = kept
        if isinstance(kept, Fallback):
            return kept
        if policy.options != options:
            policy.replace_options(options)
        return kept

    def _throttle(self, options: Any, name: str) -> Policy:
        return Throttle(options, judge=judge, listener=self._listener, name=name)

    def _rate(self, options: RateLimitConfig, name: str) -> Policy:
        return RateLimit(options, listener=self._listener, name=name)

    def _keyed_rate(self, options: RateLimitConfig, name: str) -> Policy:
        return KeyedRateLimit(options, listener=self._listener, name=name)

    def _hedge(self, options: HedgeConfig, name: str) -> Policy:
        return Hedge(
            options, budget=self._budget, judge=judge, can_hedge=_is_read, discard=self._discard,
            listener=self._listener, name=name,
        )  # fmt: skip

    def _retry(self, options: RetryConfig, name: str) -> Policy:
        return Retry(
            options, budget=self._budget, judge=self._judge_for_retry, until_deadline=_is_patient,
            discard=self._discard, keep=self._keep, listener=self._listener, name=name,
        )  # fmt: skip


def _judge_for_fallback(context: Context, result: Any, error: BaseException | None) -> Judgement:
    # A streamed response cannot be made up, so its outcome is nothing that a fallback answers.
    return SUCCESS if context.scope is not None else judge(context, result, error)


def _is_patient(context: Context) -> bool:
    call: Call = context.call
    return call.patient


def _is_read(context: Context) -> bool:
    # An idempotent write is safe to repeat once its first attempt is over; two at once still race each other.
    call: Call = context.call
    return call.method in SAFE_METHODS and call.repeat.replayable
