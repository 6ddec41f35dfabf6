"""The frames read model: what `/frames/` and `/versions/` answer from."""
