"""Which lost trainings start again, and which failures a configuration answers for itself."""

from __future__ import annotations

from collections import defaultdict

from optuna import Study, Trial
from optuna.trial import FrozenTrial, TrialState

from hpo.records import ATTEMPT, Attempt, Cause, Outcome
from hpo.samplers import derive_seed
from hpo.settings import StudyConfig
from hpo.space import SearchSpace

RETRIED: frozenset[Cause] = frozenset(
    {"worker-died", "out-of-memory", "launcher-died", "interrupted"}
)
BAD_CONFIG: frozenset[Cause] = frozenset({"diverged", "time-limit"})


class Retries:
    """The tries of each configuration of a study. Not thread-safe: `hpo.ledger` holds a lock."""

    def __init__(self, study: Study, config: StudyConfig) -> None:
        self._study, self._config = study, config
        self._space = SearchSpace(config)

    def attempt_of(self, trial: FrozenTrial | Trial) -> Attempt:
        """What is stored, or that this is the first try of a config of its own."""
        seed = derive_seed(self._config.seed, trial.number)
        return Attempt.of(trial) or Attempt(1, trial.number, seed, 0, "")

    def requeue(self) -> None:
        """Queue a new attempt of each config whose last attempt failed through no fault of its own.

        What to queue follows from the storage alone, so a kill between failure and queueing loses
        nothing, and calling twice queues nothing twice.
        """
        attempts: dict[int, list[FrozenTrial]] = defaultdict(list)
        for trial in self._study.get_trials(deepcopy=False):
            attempts[self.attempt_of(trial).origin].append(trial)
        for trials in attempts.values():
            last = trials[-1]
            attempt = self.attempt_of(last)
            params = last.system_attrs.get("fixed_params") or last.params
            lost = last.state == TrialState.FAIL and _cause(last) in RETRIED
            complete = self._space.is_complete(params)  # killed amid the suggestions: no
            deaths = sum(_cause(trial) == "worker-died" for trial in trials)
            tries = self._config.retries.worker_died + 1
            if lost and complete and deaths < tries:  # is_bad_config() sees to the other limits
                again = Attempt(attempt.number + 1, attempt.origin, attempt.seed, 0, "")
                self._study.enqueue_trial(params, user_attrs={ATTEMPT: again.as_dict()})

    def is_bad_config(self, attempt: Attempt, cause: Cause | None) -> bool:
        """Whether a failure counts, so that the sampler learns from it."""
        if cause != "out-of-memory":
            return cause in BAD_CONFIG
        failed = self._study.get_trials(deepcopy=False, states=(TrialState.FAIL,))
        same = [trial for trial in failed if self.attempt_of(trial).origin == attempt.origin]
        before = sum(_cause(trial) == "out-of-memory" for trial in same)
        return before >= self._config.retries.out_of_memory


def _cause(trial: FrozenTrial) -> Cause | None:
    outcome = Outcome.of(trial)
    return outcome.cause if outcome else None
