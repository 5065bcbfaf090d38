CREATE TABLE "rates" (
	"key" text PRIMARY KEY NOT NULL,
	"points" integer DEFAULT 0 NOT NULL,
	"expire" bigint
);
--> statement-breakpoint
-- Counting waits for no disk: what a crash forgets is a minute's.
ALTER TABLE rates SET UNLOGGED;
GRANT SELECT, INSERT, UPDATE, DELETE ON rates TO latchkey_server;
--> statement-breakpoint
-- Sessions of a member are not accepted while the member is deactivated; they are removed as well, so that none comes back
-- to life with the member. On the way back too, for a session that began at the moment of the deactivation. Whoever is not
-- shown them, such as the tables' owner in a migration, leaves them to the next change of the member's standing.
CREATE FUNCTION end_sessions_of_member() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, public AS $$
BEGIN
  IF current_user = 'latchkey_server' OR NOT row_security_active('sessions') THEN
    DELETE FROM sessions WHERE person_id = NEW.person_id AND organization_id = NEW.organization_id;
  END IF;
  RETURN NULL;
END
$$;
CREATE TRIGGER end_sessions AFTER UPDATE OF active ON members FOR EACH ROW
  WHEN (OLD.active IS DISTINCT FROM NEW.active) EXECUTE FUNCTION end_sessions_of_member();
