-- Servers, groups of servers and user mappings: what may stand where.  Nothing here is ever connected to.
CREATE ROLE node_user;
CREATE ROLE node_other;

CREATE SERVER rio FOREIGN DATA WRAPPER backstream OPTIONS (host 'rio.example', port '5433', dbname 'flows', sslmode 'verify-full', schema 'kept', node_timeout '3 s');
CREATE SERVER sp FOREIGN DATA WRAPPER backstream OPTIONS (hostaddr '192.0.2.1', on_node_failure 'partial');
CREATE SERVER backbone FOREIGN DATA WRAPPER backstream OPTIONS (nodes 'rio, sp, local', on_node_failure 'error');

-- what is wrong is said
CREATE SERVER bad FOREIGN DATA WRAPPER backstream OPTIONS (colour 'red');
CREATE SERVER bad FOREIGN DATA WRAPPER backstream OPTIONS (host 'x', user 'me');
CREATE SERVER bad FOREIGN DATA WRAPPER backstream OPTIONS (host 'x', password 'secret');
CREATE SERVER bad FOREIGN DATA WRAPPER backstream OPTIONS (service 'x');
CREATE SERVER bad FOREIGN DATA WRAPPER backstream OPTIONS (client_encoding 'LATIN1');
CREATE SERVER bad FOREIGN DATA WRAPPER backstream OPTIONS (host 'x', node_timeout 'soon');
CREATE SERVER bad FOREIGN DATA WRAPPER backstream OPTIONS (host 'x', on_node_failure 'shrug');
CREATE SERVER bad FOREIGN DATA WRAPPER backstream OPTIONS (nodes '');
CREATE SERVER bad FOREIGN DATA WRAPPER backstream OPTIONS (nodes 'rio,, sp');
CREATE SERVER bad FOREIGN DATA WRAPPER backstream OPTIONS (nodes 'rio, Rio');
CREATE SERVER bad FOREIGN DATA WRAPPER backstream OPTIONS (nodes 'rio', host 'x');
CREATE SERVER bad FOREIGN DATA WRAPPER backstream OPTIONS (nodes 'rio, nowhere');
CREATE SERVER bad FOREIGN DATA WRAPPER backstream OPTIONS (nodes 'rio, backbone');
CREATE SERVER bad FOREIGN DATA WRAPPER backstream OPTIONS (nodes 'backstream');
CREATE SERVER local FOREIGN DATA WRAPPER backstream OPTIONS (host 'x');
ALTER SERVER rio RENAME TO local;
ALTER SERVER backstream OPTIONS (ADD host 'x');
ALTER SERVER sp OPTIONS (DROP hostaddr);
ALTER SERVER backbone OPTIONS (SET nodes 'rio, nowhere');

-- a group follows the names of its nodes, and needs them
ALTER SERVER sp RENAME TO "Sao Paulo";
SELECT srvoptions FROM pg_foreign_server WHERE srvname = 'backbone';
DROP SERVER "Sao Paulo";
ALTER SERVER backbone OPTIONS (SET nodes 'rio, local');
DROP SERVER "Sao Paulo";
DROP SERVER rio;

-- making a group takes the right to use its nodes
GRANT USAGE ON FOREIGN DATA WRAPPER backstream TO node_user;
SET ROLE node_user;
CREATE SERVER theirs FOREIGN DATA WRAPPER backstream OPTIONS (nodes 'rio');
RESET ROLE;
GRANT USAGE ON FOREIGN SERVER rio TO node_user;
SET ROLE node_user;
CREATE SERVER theirs FOREIGN DATA WRAPPER backstream OPTIONS (nodes 'rio');

-- mappings
CREATE USER MAPPING FOR node_user SERVER rio OPTIONS (user 'reader', password 'secret');
ALTER USER MAPPING FOR node_user SERVER rio OPTIONS (ADD host 'x');
ALTER USER MAPPING FOR node_user SERVER rio OPTIONS (ADD colour 'red');
ALTER USER MAPPING FOR node_user SERVER rio OPTIONS (ADD password_required 'false');
ALTER USER MAPPING FOR node_user SERVER rio OPTIONS (ADD sslkey '/etc/ssl/private/key.pem');
ALTER USER MAPPING FOR node_user SERVER rio OPTIONS (ADD password_required 'perhaps');
ALTER USER MAPPING FOR node_user SERVER rio OPTIONS (ADD password_required 'true');
SELECT usename, umoptions FROM pg_user_mappings WHERE srvname = 'rio';
SET ROLE node_other;
SELECT usename, umoptions FROM pg_user_mappings WHERE srvname = 'rio';
RESET ROLE;
ALTER USER MAPPING FOR node_user SERVER rio OPTIONS (SET password_required 'false', ADD sslcert '/etc/ssl/certs/cert.pem', ADD sslkey '/etc/ssl/private/key.pem');

-- a stream of a group holds no records here
CREATE FOREIGN TABLE remote (t timestamptz, n int) SERVER backbone;
INSERT INTO remote VALUES (now(), 1);
CREATE FOREIGN TABLE remote_bad (n int) SERVER backbone OPTIONS (nodes 'rio');
DROP SERVER backbone;
DROP SERVER rio CASCADE;
DROP FOREIGN TABLE IF EXISTS remote;
REVOKE USAGE ON FOREIGN DATA WRAPPER backstream FROM node_user;
DROP ROLE node_user, node_other;
