CREATE TABLE "invitations" (
	"id" text PRIMARY KEY NOT NULL,
	"organization_id" text NOT NULL,
	"email" text NOT NULL,
	"role" text NOT NULL,
	"digest" "bytea" NOT NULL,
	"key_id" text NOT NULL,
	"created_by_member_id" text NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"expires_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "invitations_digest_unique" UNIQUE("digest"),
	CONSTRAINT "invitations_organization_id_email_key" UNIQUE("organization_id","email"),
	CONSTRAINT "invitations_role" CHECK (role in ('SUPER_ADMIN', 'POWER_USER', 'MEMBER', 'GUEST'))
);
--> statement-breakpoint
CREATE TABLE "organization_domains" (
	"domain" text PRIMARY KEY NOT NULL,
	"organization_id" text NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
ALTER TABLE "invitations" ADD CONSTRAINT "invitations_organization_id_organizations_id_fk" FOREIGN KEY ("organization_id") REFERENCES "public"."organizations"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "invitations" ADD CONSTRAINT "invitations_created_by_fkey" FOREIGN KEY ("organization_id","created_by_member_id") REFERENCES "public"."members"("organization_id","id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "organization_domains" ADD CONSTRAINT "organization_domains_organization_id_organizations_id_fk" FOREIGN KEY ("organization_id") REFERENCES "public"."organizations"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "organization_domains_organization_id" ON "organization_domains" USING btree ("organization_id");--> statement-breakpoint
ALTER TABLE invitations ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE organization_domains ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY own_organization ON invitations TO latchkey_server USING (organization_id = (SELECT current_organization_id()));
CREATE POLICY own_organization ON organization_domains TO latchkey_server USING (organization_id = (SELECT current_organization_id()));
GRANT SELECT, INSERT, UPDATE, DELETE ON invitations, organization_domains TO latchkey_server;
--> statement-breakpoint
-- Whoever presents an invitation is in no organization yet.
CREATE POLICY every_organization ON invitations FOR SELECT TO latchkey_lookup USING (true);
CREATE POLICY every_organization ON organization_domains FOR SELECT TO latchkey_lookup USING (true);
GRANT SELECT ON invitations, organization_domains TO latchkey_lookup;
