from .champion import load_champion as load_champion
from .study_result import StudyResult as StudyResult, load_study as load_study
from .tuning import tune as tune
