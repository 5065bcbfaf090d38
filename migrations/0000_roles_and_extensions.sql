-- The server never works as the role that it signs in as: a superuser, or a table's owner, passes row-level security by.
-- latchkey_server acts within one organization at a time. latchkey_lookup finds a presented credential in whichever
-- organization it is, and can write nothing but when a credential was last used. Roles belong to the whole cluster, so
-- another database's migration may have made them already, or be making them now.
DO $$
DECLARE
  wanted text;
BEGIN
  FOREACH wanted IN ARRAY ARRAY['latchkey_server', 'latchkey_lookup'] LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
      BEGIN
        EXECUTE format('CREATE ROLE %I NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS', wanted);
      EXCEPTION WHEN duplicate_object OR unique_violation THEN
        NULL;
      END;
    END IF;
    -- From version 16 on, whoever makes a role is a member of it, and yet may not work as it.
    IF NOT pg_has_role(current_user, wanted,
      CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'SET' ELSE 'MEMBER' END) THEN
      EXECUTE format('GRANT %I TO CURRENT_USER', wanted);
    END IF;
  END LOOP;
END
$$;
--> statement-breakpoint
-- What a search finds a text by: every one, two and three consecutive characters of it.
CREATE FUNCTION search_grams(content text) RETURNS text[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
  RETURN ARRAY(
    SELECT DISTINCT substr(content, start, size)
    FROM generate_series(1, length(content)) start, generate_series(1, 3) size
  );
--> statement-breakpoint
-- The same as the index knows them: each organization by keys of its own, so that no search takes longer, or tells
-- anything, for what other organizations have. Two that fall together are told apart when the text itself is compared.
CREATE FUNCTION search_keys(organization_id text, grams text[]) RETURNS bigint[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
  RETURN ARRAY(SELECT hashtextextended(organization_id || gram, 0) FROM unnest(grams) gram);
