from .app import make_app as make_app, make_server as make_server
from .bulk import (
    Users as Users,
    check_out as check_out,
    find_users as find_users,
    read_users as read_users,
    top_table as top_table,
    write_top as write_top,
)
from .live_model import LiveModel as LiveModel
