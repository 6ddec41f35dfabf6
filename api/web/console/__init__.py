"""The operator's console below `/admin/` (row A46): staff may look, superusers may change, and each change is the same
command that the API gives."""
