-- SPDX-License-Identifier: PostgreSQL
-- A next version, for t/004_upgrade.pl alone: run-tap.sh puts it beside the scripts of its server.
\echo Use "ALTER EXTENSION backstream UPDATE" to load this file. \quit
CREATE OR REPLACE FUNCTION scaled(value bigint, sampling_rate bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN value * sampling_rate;
CREATE FUNCTION added_by_update() RETURNS text LANGUAGE sql RETURN 'here';
CREATE VIEW added_view AS SELECT count(*) AS views FROM backstream.views;
CREATE OR REPLACE VIEW memory AS SELECT * FROM memory_counters();
