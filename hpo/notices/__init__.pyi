from .delivery import (
    DELIVERY_SECONDS as DELIVERY_SECONDS,
    deliver as deliver,
    stored_receivers as stored_receivers,
)
from .notice import (
    Notice as Notice,
    ended_notice as ended_notice,
    failed_notice as failed_notice,
)
