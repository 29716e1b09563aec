-- SPDX-License-Identifier: PostgreSQL
-- An update that fails half-way, for t/004_upgrade.pl.
CREATE FUNCTION half() RETURNS int LANGUAGE sql RETURN 1;
SELECT 1 / 0;
