from .background import MirrorThread as MirrorThread, bring_into_mlflow as bring_into_mlflow
from .dashboard_view import dashboard_app as dashboard_app
from .mirror import Mirror as Mirror, SyncReport as SyncReport
from .study_page import page_of_study as page_of_study
from .urls import (
    dashboard_path as dashboard_path,
    experiments_address as experiments_address,
    mlflow_base as mlflow_base,
    study_links as study_links,
)
