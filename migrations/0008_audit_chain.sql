CREATE TABLE "audit_heads" (
	"organization_id" text PRIMARY KEY NOT NULL,
	"position" bigint NOT NULL,
	"link" "bytea" NOT NULL,
	"beginning" "bytea" NOT NULL
);
--> statement-breakpoint
ALTER TABLE "audit_events" ADD COLUMN "position" bigint;--> statement-breakpoint
ALTER TABLE "audit_events" ADD COLUMN "key_id" text;--> statement-breakpoint
ALTER TABLE "audit_events" ADD COLUMN "hash" "bytea";--> statement-breakpoint
ALTER TABLE "audit_heads" ADD CONSTRAINT "audit_heads_organization_id_organizations_id_fk" FOREIGN KEY ("organization_id") REFERENCES "public"."organizations"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE UNIQUE INDEX "audit_events_position" ON "audit_events" USING btree ("organization_id","position");--> statement-breakpoint
CREATE INDEX "audit_events_unchained" ON "audit_events" USING btree ("organization_id","at","id") WHERE position is null;--> statement-breakpoint
-- The events that are there already are no part of a chain: no migration has the server key. Of every organization's, a
-- digest is taken here, to which its first event is chained, so that they too are held from then on; see
-- server/audit/chain.ts. For that, row-level security steps aside for the tables' owner within this transaction.
ALTER TABLE organizations NO FORCE ROW LEVEL SECURITY;
ALTER TABLE audit_events NO FORCE ROW LEVEL SECURITY;
INSERT INTO audit_heads (organization_id, position, link, beginning)
  SELECT o.id, 0, b.digest, b.digest FROM organizations o, LATERAL (
    SELECT sha256(coalesce(string_agg(sha256(convert_to(jsonb_build_array(id, organization_id,
      (extract(epoch from at) * 1000)::text, action, actor, actor_id, target, target_id, ip_address, user_agent)::text,
      'UTF8')), ''::bytea ORDER BY at, id), ''::bytea)) AS digest
    FROM audit_events WHERE organization_id = o.id
  ) b;
--> statement-breakpoint
ALTER TABLE organizations FORCE ROW LEVEL SECURITY;
ALTER TABLE audit_events FORCE ROW LEVEL SECURITY;
ALTER TABLE audit_heads ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY own_organization ON audit_heads TO latchkey_server USING (organization_id = (SELECT current_organization_id()));
GRANT SELECT, INSERT, UPDATE (position, link) ON audit_heads TO latchkey_server;
--> statement-breakpoint
CREATE FUNCTION add_audit_head() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, public AS $$
BEGIN
  INSERT INTO audit_heads (organization_id, position, link, beginning) VALUES (NEW.id, 0, sha256(''), sha256(''));
  RETURN NULL;
END
$$;
CREATE TRIGGER add_audit_head AFTER INSERT ON organizations FOR EACH ROW EXECUTE FUNCTION add_audit_head();
--> statement-breakpoint
-- The end of a chain goes forward only, and its beginning stays.
CREATE TRIGGER only_forward BEFORE UPDATE ON audit_heads FOR EACH ROW
  WHEN (NEW.position <= OLD.position
    OR (NEW.organization_id, NEW.beginning) IS DISTINCT FROM (OLD.organization_id, OLD.beginning))
  EXECUTE FUNCTION refuse_change();
CREATE TRIGGER only_ever_added BEFORE DELETE OR TRUNCATE ON audit_heads
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
