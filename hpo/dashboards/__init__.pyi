from .host_guard import (
    EVERYWHERE as EVERYWHERE,
    LOCAL_HOSTS as LOCAL_HOSTS,
    App as App,
    Guard as Guard,
    KnownHosts as KnownHosts,
)
from .servers import (
    REUSE_ADDRESS as REUSE_ADDRESS,
    DashboardServer as DashboardServer,
    MlflowServer as MlflowServer,
    Server as Server,
    is_about_port as is_about_port,
    wait_until_ready as wait_until_ready,
)
