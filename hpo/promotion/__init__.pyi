from .outcome import Promotion as Promotion, PromotionSettings as PromotionSettings
from .promote import (
    model_of as model_of,
    promote_study as promote_study,
    roll_back as roll_back,
)
from .retrain import UnchangedData as UnchangedData, retrain_champion as retrain_champion
from .summary import promotion_summary as promotion_summary
