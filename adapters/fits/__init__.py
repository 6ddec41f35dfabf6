"""FITS reading: headers, structure and footprint of a frame, as a stream of blocks; never its pixels.

`reader.FitsReader` implements the port `application.ports.frame_reader.FrameReader`.
"""
