from . import findings as findings, tables as tables
from .drift import measure_drift as measure_drift
from .findings import GateFindings as GateFindings
from .race import Race as Race, run_race as run_race
from .refit import Refit as Refit, RefitContext as RefitContext, refit_model as refit_model
from .rivals import (
    Champion as Champion,
    baselines as baselines,
    check_baselines as check_baselines,
    fetch_champion as fetch_champion,
)
from .tables import Row as Row, as_markdown as as_markdown
