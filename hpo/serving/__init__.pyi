from .app import make_app as make_app, make_server as make_server
from .bulk import check_out as check_out, read_users as read_users, write_top as write_top
from .live_model import LiveModel as LiveModel
