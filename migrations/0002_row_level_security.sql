-- What the server may see is set for each transaction by withOrganization(); where nothing is set, nothing is seen.
CREATE FUNCTION current_organization_id() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
  RETURN nullif(current_setting('latchkey.organization_id', true), '');
--> statement-breakpoint
CREATE FUNCTION current_person_id() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
  RETURN nullif(current_setting('latchkey.person_id', true), '');
--> statement-breakpoint
ALTER TABLE organizations ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE members ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE sessions ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE access_tokens ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE token_roles ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE integration_tokens ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE token_secrets ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE idempotency_keys ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE audit_events ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
--> statement-breakpoint
CREATE POLICY own_organization ON organizations TO latchkey_server USING (id = (SELECT current_organization_id()));
CREATE POLICY own_organization ON members TO latchkey_server USING (organization_id = (SELECT current_organization_id()));
CREATE POLICY own_organization ON access_tokens TO latchkey_server USING (organization_id = (SELECT current_organization_id()));
CREATE POLICY own_organization ON integration_tokens TO latchkey_server USING (organization_id = (SELECT current_organization_id()));
CREATE POLICY own_organization ON token_secrets TO latchkey_server USING (organization_id = (SELECT current_organization_id()));
CREATE POLICY own_organization ON idempotency_keys TO latchkey_server USING (organization_id = (SELECT current_organization_id()));
CREATE POLICY own_organization ON audit_events TO latchkey_server USING (organization_id = (SELECT current_organization_id()));
-- A session is its person's in whichever organization it acts, so that signing out everywhere reaches all of them.
CREATE POLICY own_organization ON sessions TO latchkey_server
  USING (organization_id = (SELECT current_organization_id()) OR person_id = (SELECT current_person_id()));
-- Managed roles are everyone's to read and nobody's to write.
CREATE POLICY own_organization ON token_roles TO latchkey_server USING (organization_id = (SELECT current_organization_id()));
CREATE POLICY managed ON token_roles FOR SELECT TO latchkey_server USING (organization_id IS NULL);
--> statement-breakpoint
CREATE POLICY every_organization ON organizations FOR SELECT TO latchkey_lookup USING (true);
CREATE POLICY every_organization ON members FOR SELECT TO latchkey_lookup USING (true);
CREATE POLICY every_organization ON sessions TO latchkey_lookup USING (true);
CREATE POLICY every_organization ON access_tokens TO latchkey_lookup USING (true);
CREATE POLICY every_organization ON token_roles FOR SELECT TO latchkey_lookup USING (true);
CREATE POLICY every_organization ON integration_tokens TO latchkey_lookup USING (true);
CREATE POLICY every_organization ON token_secrets TO latchkey_lookup USING (true);
--> statement-breakpoint
GRANT SELECT, INSERT, UPDATE ON organizations, people, members TO latchkey_server;
GRANT SELECT, INSERT, UPDATE, DELETE ON
  sessions, access_tokens, services, token_roles, integration_tokens, token_secrets, idempotency_keys, sign_in_attempts
  TO latchkey_server;
GRANT SELECT, INSERT ON audit_events TO latchkey_server;
GRANT USAGE ON SCHEMA drizzle TO latchkey_server;
GRANT SELECT ON drizzle.__drizzle_migrations TO latchkey_server;
GRANT SELECT ON organizations, people, members, sessions, access_tokens, services, token_roles, integration_tokens, token_secrets
  TO latchkey_lookup;
GRANT UPDATE (last_used_at) ON sessions, access_tokens, services, token_secrets TO latchkey_lookup;
GRANT UPDATE (last_used_at, last_used_from, retired_secret_last_used_at) ON integration_tokens TO latchkey_lookup;
--> statement-breakpoint
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'Events of the audit log are only ever added.' USING ERRCODE = 'insufficient_privilege';
END
$$;
--> statement-breakpoint
CREATE TRIGGER only_ever_added BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_events
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
--> statement-breakpoint
-- LIKE is not leakproof, so under row-level security PostgreSQL would read the organization's every row before it
-- compared a text, and leave the trigram index unused. This function looks as latchkey_lookup, for which there is no such
-- barrier, keeps to the transaction's organization itself, and gives ids alone: the rows are read under the policies.
CREATE FUNCTION token_ids_matching(pattern text, at_most integer) RETURNS SETOF text
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public SET plan_cache_mode = force_custom_plan AS $$
DECLARE
  organization text := current_organization_id();
BEGIN
  RETURN QUERY
    SELECT id FROM integration_tokens WHERE organization_id = organization AND search_text LIKE pattern LIMIT at_most;
END
$$;
--> statement-breakpoint
REVOKE ALL ON FUNCTION token_ids_matching FROM PUBLIC;
GRANT EXECUTE ON FUNCTION token_ids_matching TO latchkey_server;
GRANT CREATE ON SCHEMA public TO latchkey_lookup;
ALTER FUNCTION token_ids_matching OWNER TO latchkey_lookup;
REVOKE CREATE ON SCHEMA public FROM latchkey_lookup;
