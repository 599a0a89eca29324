from . import index_builder as index_builder
from .index import IndexFacts as IndexFacts, ItemIndex as ItemIndex
from .index_builder import with_index as with_index
from .recommender import Recommender as Recommender
from .requests import (
    MAX_K as MAX_K,
    Answer as Answer,
    Question as Question,
    RequestError as RequestError,
    check_k as check_k,
)
