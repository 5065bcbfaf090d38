-- A look-up of a secret reads one row instead of two, and the use of a token writes one narrow row instead of one with
-- eight indexes. The tables' owner moves what is there, for which row-level security steps aside within this transaction.
CREATE TABLE "token_uses" (
	"organization_id" text NOT NULL,
	"token_id" text NOT NULL,
	"last_used_at" timestamp (3) with time zone,
	"last_used_from" text,
	"retired_secret_last_used_at" timestamp (3) with time zone,
	CONSTRAINT "token_uses_organization_id_token_id_pk" PRIMARY KEY("organization_id","token_id")
);
--> statement-breakpoint
ALTER TABLE integration_tokens NO FORCE ROW LEVEL SECURITY;
ALTER TABLE token_secrets NO FORCE ROW LEVEL SECURITY;
INSERT INTO token_uses (organization_id, token_id, last_used_at, last_used_from, retired_secret_last_used_at)
  SELECT organization_id, id, last_used_at, last_used_from, retired_secret_last_used_at FROM integration_tokens;
--> statement-breakpoint
DROP INDEX "integration_tokens_last_used_at";--> statement-breakpoint
ALTER TABLE "integration_tokens" DROP COLUMN "last_used_at";--> statement-breakpoint
ALTER TABLE "integration_tokens" DROP COLUMN "last_used_from";--> statement-breakpoint
ALTER TABLE "integration_tokens" DROP COLUMN "retired_secret_last_used_at";--> statement-breakpoint
ALTER TABLE "token_uses" ADD CONSTRAINT "token_uses_token_fkey" FOREIGN KEY ("organization_id","token_id") REFERENCES "public"."integration_tokens"("organization_id","id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "token_uses_last_used_at" ON "token_uses" USING btree ("organization_id",coalesce(last_used_at, '-infinity'::timestamptz),"token_id");--> statement-breakpoint
ALTER TABLE "token_secrets" ADD COLUMN "token_label" text;--> statement-breakpoint
ALTER TABLE "token_secrets" ADD COLUMN "token_role_id" text;--> statement-breakpoint
ALTER TABLE "token_secrets" ADD COLUMN "token_enabled" boolean;--> statement-breakpoint
ALTER TABLE "token_secrets" ADD COLUMN "token_created_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "token_secrets" ADD COLUMN "token_expires_at" timestamp (3) with time zone;--> statement-breakpoint
UPDATE token_secrets SET token_label = label, token_role_id = role_id, token_enabled = enabled,
    token_created_at = t.created_at, token_expires_at = expires_at
  FROM integration_tokens t WHERE t.id = token_id;
--> statement-breakpoint
ALTER TABLE "token_secrets" ALTER COLUMN "token_label" SET NOT NULL;--> statement-breakpoint
ALTER TABLE "token_secrets" ALTER COLUMN "token_role_id" SET NOT NULL;--> statement-breakpoint
ALTER TABLE "token_secrets" ALTER COLUMN "token_enabled" SET NOT NULL;--> statement-breakpoint
ALTER TABLE "token_secrets" ALTER COLUMN "token_created_at" SET NOT NULL;--> statement-breakpoint
ALTER TABLE integration_tokens FORCE ROW LEVEL SECURITY;
ALTER TABLE token_secrets FORCE ROW LEVEL SECURITY;
-- Room in every page for the next version of its rows: a use then writes no index of the secrets.
ALTER TABLE token_secrets SET (fillfactor = 90);
ALTER TABLE token_uses SET (fillfactor = 90);
--> statement-breakpoint
ALTER TABLE token_uses ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY own_organization ON token_uses TO latchkey_server USING (organization_id = (SELECT current_organization_id()));
CREATE POLICY every_organization ON token_uses TO latchkey_lookup USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON token_uses TO latchkey_server;
GRANT SELECT, UPDATE (last_used_at, last_used_from) ON token_uses TO latchkey_lookup;
--> statement-breakpoint
CREATE FUNCTION add_token_use() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, public AS $$
BEGIN
  INSERT INTO token_uses (organization_id, token_id) VALUES (NEW.organization_id, NEW.id);
  RETURN NULL;
END
$$;
CREATE TRIGGER add_token_use AFTER INSERT ON integration_tokens FOR EACH ROW EXECUTE FUNCTION add_token_use();
--> statement-breakpoint
-- A secret carries what a verdict says of its token. Whatever anyone writes into the copy, this writes over it; and since it
-- locks the token, no change of one that is under way can pass a new secret by.
CREATE FUNCTION copy_token() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, public AS $$
BEGIN
  SELECT label, role_id, enabled, created_at, expires_at
    INTO NEW.token_label, NEW.token_role_id, NEW.token_enabled, NEW.token_created_at, NEW.token_expires_at
    FROM integration_tokens WHERE organization_id = NEW.organization_id AND id = NEW.token_id FOR SHARE;
  RETURN NEW;
END
$$;
CREATE TRIGGER copy_token
  BEFORE INSERT OR UPDATE OF organization_id, token_id,
    token_label, token_role_id, token_enabled, token_created_at, token_expires_at ON token_secrets
  FOR EACH ROW EXECUTE FUNCTION copy_token();
--> statement-breakpoint
-- Whoever is shown a token and not its secrets would leave them accepted as they were.
CREATE FUNCTION copy_token_to_secrets() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, public AS $$
BEGIN
  IF row_security_active('token_secrets') AND current_user <> 'latchkey_server' THEN
    RAISE EXCEPTION 'Tokens are changed as latchkey_server or as a superuser, who are shown their secrets too.'
      USING ERRCODE = 'insufficient_privilege';
  END IF;
  -- Of what is set here only that it is set matters: copy_token copies all of it.
  UPDATE token_secrets SET token_label = NEW.label WHERE organization_id = NEW.organization_id AND token_id = NEW.id;
  RETURN NULL;
END
$$;
CREATE TRIGGER copy_token_to_secrets
  AFTER UPDATE OF label, role_id, enabled, created_at, expires_at ON integration_tokens FOR EACH ROW
  WHEN ((OLD.label, OLD.role_id, OLD.enabled, OLD.created_at, OLD.expires_at)
    IS DISTINCT FROM (NEW.label, NEW.role_id, NEW.enabled, NEW.created_at, NEW.expires_at))
  EXECUTE FUNCTION copy_token_to_secrets();
--> statement-breakpoint
-- What a verdict says of a token changes where its secrets do.
DROP TRIGGER announce_change ON integration_tokens;
DROP TRIGGER announce_change ON token_secrets;
CREATE TRIGGER announce_change
  AFTER UPDATE OF organization_id, token_id, digest, accepted_until,
    token_label, token_role_id, token_enabled, token_expires_at ON token_secrets FOR EACH ROW
  WHEN ((OLD.organization_id, OLD.token_id, OLD.digest, OLD.accepted_until,
      OLD.token_label, OLD.token_role_id, OLD.token_enabled, OLD.token_expires_at)
    IS DISTINCT FROM (NEW.organization_id, NEW.token_id, NEW.digest, NEW.accepted_until,
      NEW.token_label, NEW.token_role_id, NEW.token_enabled, NEW.token_expires_at))
  EXECUTE FUNCTION announce_token_of_secret();
