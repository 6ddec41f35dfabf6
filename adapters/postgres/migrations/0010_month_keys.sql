-- Frames have a key for the month of their observation (ADR 0032): their read model fills again from the log's beginning.
DROP SCHEMA IF EXISTS read_frames CASCADE;
DELETE FROM starferry.projection WHERE name = 'frames';
