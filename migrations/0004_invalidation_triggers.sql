-- What verifiers were told of a token holds until a row changes that it was told from. Whoever changes the row, and in
-- whatever way, every instance hears of it if and when the transaction commits; server/tokens/invalidation.ts listens. A
-- token goes by the id that it had before, since under that one answers are cached. More than 1,000 at once, and those
-- that cannot be told, go by the word “everything”: so many messages would cost verifiers more than to ask anew.
CREATE FUNCTION announce_invalidations(token_ids text[]) RETURNS void
  LANGUAGE plpgsql SET search_path = pg_catalog, public AS $$
BEGIN
  PERFORM pg_notify('latchkey_invalidations', payload)
  FROM unnest(CASE WHEN cardinality(token_ids) <= 1000 THEN token_ids ELSE ARRAY['everything'] END) payload;
END
$$;
--> statement-breakpoint
-- The columns are those that a verdict says, or depends on: none that is written when a token is used. Only triggers for
-- each row can keep to columns.
CREATE FUNCTION announce_token() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, public AS $$
BEGIN
  PERFORM announce_invalidations(ARRAY[OLD.id]);
  RETURN NULL;
END
$$;
CREATE TRIGGER announce_change
  AFTER UPDATE OF id, organization_id, label, role_id, enabled, expires_at ON integration_tokens FOR EACH ROW
  WHEN ((OLD.id, OLD.organization_id, OLD.label, OLD.role_id, OLD.enabled, OLD.expires_at)
    IS DISTINCT FROM (NEW.id, NEW.organization_id, NEW.label, NEW.role_id, NEW.enabled, NEW.expires_at))
  EXECUTE FUNCTION announce_token();
CREATE TRIGGER announce_change
  AFTER UPDATE OF id, organization_id, member_id, digest ON access_tokens FOR EACH ROW
  WHEN ((OLD.id, OLD.organization_id, OLD.member_id, OLD.digest)
    IS DISTINCT FROM (NEW.id, NEW.organization_id, NEW.member_id, NEW.digest))
  EXECUTE FUNCTION announce_token();
--> statement-breakpoint
CREATE FUNCTION announce_token_of_secret() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, public AS $$
BEGIN
  PERFORM announce_invalidations(ARRAY[OLD.token_id]);
  RETURN NULL;
END
$$;
CREATE TRIGGER announce_change
  AFTER UPDATE OF token_id, digest, accepted_until ON token_secrets FOR EACH ROW
  WHEN ((OLD.token_id, OLD.digest, OLD.accepted_until) IS DISTINCT FROM (NEW.token_id, NEW.digest, NEW.accepted_until))
  EXECUTE FUNCTION announce_token_of_secret();
--> statement-breakpoint
-- Row-level security lets the server see all tokens that its change concerns, and a superuser all that there are. It shows
-- none to anyone else whom it binds, such as the tables' owner in a migration, who then speaks of everything.
CREATE FUNCTION announce_access_token_of_member() RETURNS trigger
  LANGUAGE plpgsql SET search_path = pg_catalog, public AS $$
BEGIN
  IF row_security_active('access_tokens') AND current_user <> 'latchkey_server' THEN
    PERFORM announce_invalidations(NULL);
  ELSE
    PERFORM announce_invalidations(ARRAY(SELECT id FROM access_tokens WHERE member_id = OLD.id));
  END IF;
  RETURN NULL;
END
$$;
CREATE TRIGGER announce_change
  AFTER UPDATE OF role, active ON members FOR EACH ROW
  WHEN ((OLD.role, OLD.active) IS DISTINCT FROM (NEW.role, NEW.active))
  EXECUTE FUNCTION announce_access_token_of_member();
--> statement-breakpoint
CREATE FUNCTION announce_tokens_of_role() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, public AS $$
BEGIN
  IF row_security_active('integration_tokens') AND current_user <> 'latchkey_server' THEN
    PERFORM announce_invalidations(NULL);
  ELSE
    PERFORM announce_invalidations(ARRAY(SELECT id FROM integration_tokens WHERE role_id = OLD.id LIMIT 1001));
  END IF;
  RETURN NULL;
END
$$;
CREATE TRIGGER announce_change
  AFTER UPDATE OF permissions ON token_roles FOR EACH ROW
  WHEN (OLD.permissions IS DISTINCT FROM NEW.permissions)
  EXECUTE FUNCTION announce_tokens_of_role();
--> statement-breakpoint
-- A token goes with its secrets, and an access token with its member, so that whatever is deleted, it ends here: once for
-- each statement, with all that it and its cascade removed.
CREATE FUNCTION announce_tokens_of_removed_secrets() RETURNS trigger
  LANGUAGE plpgsql SET search_path = pg_catalog, public AS $$
BEGIN
  PERFORM announce_invalidations(ARRAY(SELECT DISTINCT token_id FROM removed LIMIT 1001));
  RETURN NULL;
END
$$;
CREATE TRIGGER announce_removal
  AFTER DELETE ON token_secrets REFERENCING OLD TABLE AS removed FOR EACH STATEMENT
  EXECUTE FUNCTION announce_tokens_of_removed_secrets();
--> statement-breakpoint
CREATE FUNCTION announce_removed_access_tokens() RETURNS trigger
  LANGUAGE plpgsql SET search_path = pg_catalog, public AS $$
BEGIN
  PERFORM announce_invalidations(ARRAY(SELECT id FROM removed LIMIT 1001));
  RETURN NULL;
END
$$;
CREATE TRIGGER announce_removal
  AFTER DELETE ON access_tokens REFERENCING OLD TABLE AS removed FOR EACH STATEMENT
  EXECUTE FUNCTION announce_removed_access_tokens();
--> statement-breakpoint
CREATE FUNCTION announce_everything() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, public AS $$
BEGIN
  PERFORM announce_invalidations(NULL);
  RETURN NULL;
END
$$;
CREATE TRIGGER announce_truncation AFTER TRUNCATE ON token_secrets FOR EACH STATEMENT EXECUTE FUNCTION announce_everything();
CREATE TRIGGER announce_truncation AFTER TRUNCATE ON access_tokens FOR EACH STATEMENT EXECUTE FUNCTION announce_everything();
