"""Tables on disk (text, JSON lines, Parquet, Arrow, folders of parts) behind one interface."""
