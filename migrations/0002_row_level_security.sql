-- What the server may see is set for each transaction by withOrganization(); where nothing is set, nothing is seen. Being
-- parallel unsafe, it keeps every statement under the policies to one process: none is worth the start of another.
CREATE FUNCTION current_organization_id() RETURNS text LANGUAGE sql STABLE PARALLEL UNSAFE
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
ALTER TABLE token_search_texts ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE token_secrets ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE idempotency_keys ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE audit_events ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
--> statement-breakpoint
CREATE POLICY own_organization ON organizations TO latchkey_server USING (id = (SELECT current_organization_id()));
CREATE POLICY own_organization ON members TO latchkey_server USING (organization_id = (SELECT current_organization_id()));
CREATE POLICY own_organization ON access_tokens TO latchkey_server USING (organization_id = (SELECT current_organization_id()));
CREATE POLICY own_organization ON integration_tokens TO latchkey_server USING (organization_id = (SELECT current_organization_id()));
CREATE POLICY own_organization ON token_search_texts TO latchkey_server USING (organization_id = (SELECT current_organization_id()));
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
CREATE POLICY every_organization ON token_search_texts FOR SELECT TO latchkey_lookup USING (true);
CREATE POLICY every_organization ON token_secrets TO latchkey_lookup USING (true);
--> statement-breakpoint
GRANT SELECT, INSERT, UPDATE ON organizations, people, members TO latchkey_server;
GRANT SELECT, INSERT, UPDATE, DELETE ON
  sessions, access_tokens, services, token_roles, integration_tokens, token_search_texts, token_secrets,
  idempotency_keys, sign_in_attempts
  TO latchkey_server;
GRANT SELECT, INSERT ON audit_events TO latchkey_server;
GRANT USAGE ON SCHEMA drizzle TO latchkey_server;
GRANT SELECT ON drizzle.__drizzle_migrations TO latchkey_server;
GRANT SELECT ON organizations, people, members, sessions, access_tokens, services, token_roles, integration_tokens,
  token_search_texts, token_secrets TO latchkey_lookup;
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
CREATE FUNCTION keep_search_text() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO token_search_texts (organization_id, token_id, search_text)
    VALUES (NEW.organization_id, NEW.id, NEW.search_text)
    ON CONFLICT (organization_id, token_id) DO UPDATE SET search_text = excluded.search_text;
  RETURN NULL;
END
$$;
--> statement-breakpoint
CREATE TRIGGER keep_search_text AFTER INSERT OR UPDATE OF search_text ON integration_tokens
  FOR EACH ROW EXECUTE FUNCTION keep_search_text();
--> statement-breakpoint
-- The organization's tokens whose label or description contains the text, at most as many as asked for. Comparing texts is
-- not leakproof: under row-level security PostgreSQL would read the organization's every row before it compared one, and
-- leave the index unused. This function looks as latchkey_lookup, for which there is no such barrier, keeps to the
-- transaction's organization itself, and gives ids alone: the rows are read under the policies.
--
-- An index that has to find what has all of many common grams takes as long as reading them all, and PostgreSQL cannot
-- know which are rare. A few of the organization's tokens tell, the oldest and the newest; of equally rare ones the last
-- are taken, since labels tend to begin alike.
CREATE FUNCTION token_ids_matching(content text, at_most integer) RETURNS SETOF text
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public SET plan_cache_mode = force_custom_plan AS $$
DECLARE
  organization text := current_organization_id();
  size integer := least(length(content), 3);
  rarest text[] := ARRAY(
    WITH sample AS MATERIALIZED (
      (SELECT search_text FROM token_search_texts WHERE organization_id = organization ORDER BY token_id LIMIT 50)
      UNION ALL
      (SELECT search_text FROM token_search_texts WHERE organization_id = organization ORDER BY token_id DESC LIMIT 50)
    )
    SELECT gram
    FROM (
      SELECT substr(content, start, size) AS gram, max(start) AS last
      FROM generate_series(1, least(length(content) - size + 1, 100)) start GROUP BY 1
    ) grams
    ORDER BY (SELECT count(*) FROM sample WHERE strpos(search_text, gram) > 0), last DESC
    LIMIT 3
  );
BEGIN
  RETURN QUERY
    SELECT token_id FROM token_search_texts
    WHERE organization_id = organization
      AND search_keys(organization_id, search_grams(search_text)) @> search_keys(organization, rarest)
      AND strpos(search_text, content) > 0
    LIMIT at_most;
END
$$;
--> statement-breakpoint
REVOKE ALL ON FUNCTION token_ids_matching FROM PUBLIC;
GRANT EXECUTE ON FUNCTION token_ids_matching TO latchkey_server;
GRANT CREATE ON SCHEMA public TO latchkey_lookup;
ALTER FUNCTION token_ids_matching OWNER TO latchkey_lookup;
REVOKE CREATE ON SCHEMA public FROM latchkey_lookup;
