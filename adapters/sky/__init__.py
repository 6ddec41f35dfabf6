"""Where on the sky: parsing regions, covering footprints with cells, and exact tests on the sphere.

Read `cube` for the cells, `cover` for the keys that the database indexes, `outlines` for point in polygon, `relations`
for covers and intersects, `parse` for what a query may be written in.
"""

from adapters.sky.spherical_sky import SphericalSky

__all__ = ["SphericalSky"]
