"""Tables on disk (text, JSON lines, Parquet, Arrow, folders of parts) behind one interface.

`opening` chooses the reader of a file by its ending: a new format begins there.
"""
