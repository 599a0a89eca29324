from .constraints import (
    Constraints as Constraints,
    Measure as Measure,
    broken_limits as broken_limits,
    metric_excess as metric_excess,
    why_out as why_out,
)
from .gpu_memory import fitted_to_gpus as fitted_to_gpus, say_capacity as say_capacity
from .pruners import PruningRule as PruningRule, pruning_rule as pruning_rule
from .samplers import (
    derive_seed as derive_seed,
    make_sampler as make_sampler,
    say_random_draws as say_random_draws,
)
