"""The facets read model: which sites, telescopes, filters, instruments, types and proposals there are, by UTC day.

Read `tables` for what is kept, `projection` for how it is kept, `columns` for the copy that a serving process holds,
and `query` for the answers of `/frames/aggregate/`.
"""
