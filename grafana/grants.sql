-- SPDX-License-Identifier: PostgreSQL
-- A role that reads the views of one schema and BackStream's own health views, and nothing else.
--
--     psql -d postgres -v role=grafana -v schema=traffic -f grafana/grants.sql
--     psql -d postgres -c '\password grafana'
--
-- For whoever may create roles and owns the views (a superuser, say).  It may be run again: for another schema, and for
-- views that somebody else has made meanwhile.  docs/rights.md says more, and how customers see their own rows alone.

\set ON_ERROR_STOP on
\if :{?role} \else
\set role grafana
\endif
\if :{?schema} \else
\set schema traffic
\endif

BEGIN;
SELECT format('CREATE ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS', :'role')
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'role') \gexec

-- A dashboard left open must not keep a server busy, nor a query change anything.
ALTER ROLE :"role" SET default_transaction_read_only = on;
ALTER ROLE :"role" SET statement_timeout = '30s';
ALTER ROLE :"role" SET idle_in_transaction_session_timeout = '60s';
ALTER ROLE :"role" SET timezone = 'UTC';

SELECT format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), :'role') \gexec
GRANT USAGE ON SCHEMA :"schema", backstream TO :"role";
-- Views, not tables: a stream or an archive in the same schema is granted by hand where that is wanted.
SELECT format('GRANT SELECT ON %s TO %I', c.oid::regclass, :'role')
  FROM pg_class c
 WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = :'schema')
   AND (c.relkind = 'v' OR c.oid IN (SELECT view FROM backstream.views)) ORDER BY c.relname \gexec
GRANT SELECT ON backstream.exporters, backstream.listeners, backstream.forwards, backstream.receivers, backstream.views,
	backstream.outputs, backstream.memory, backstream.health, backstream.view_exporters, backstream.nodes, backstream.checkpoint TO :"role";
-- The signatures compare with their thresholds when they are read.
SELECT format('GRANT SELECT ON detectors.thresholds TO %I', :'role') WHERE :'schema' = 'detectors' \gexec
COMMIT;
