CREATE TABLE "group_members" (
	"organization_id" text NOT NULL,
	"group_id" text NOT NULL,
	"member_id" text NOT NULL,
	CONSTRAINT "group_members_organization_id_group_id_member_id_pk" PRIMARY KEY("organization_id","group_id","member_id")
);
--> statement-breakpoint
CREATE TABLE "groups" (
	"id" text PRIMARY KEY NOT NULL,
	"organization_id" text NOT NULL,
	"display_name" text NOT NULL,
	"name_key" text NOT NULL,
	"external_id" text,
	"role" text,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"changed_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "groups_organization_id_id_key" UNIQUE("organization_id","id"),
	CONSTRAINT "groups_name_taken" UNIQUE("organization_id","name_key"),
	CONSTRAINT "groups_external_id_taken" UNIQUE("organization_id","external_id"),
	CONSTRAINT "groups_role" CHECK (role in ('SUPER_ADMIN', 'POWER_USER', 'MEMBER', 'GUEST'))
);
--> statement-breakpoint
ALTER TABLE "members" ADD COLUMN "changed_at" timestamp (3) with time zone DEFAULT now() NOT NULL;--> statement-breakpoint
ALTER TABLE "members" ADD COLUMN "role_from_groups" boolean DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE "members" ADD COLUMN "external_id" text;--> statement-breakpoint
ALTER TABLE "members" ADD COLUMN "attributes" jsonb DEFAULT '{}'::jsonb NOT NULL;--> statement-breakpoint
ALTER TABLE "group_members" ADD CONSTRAINT "group_members_group_fkey" FOREIGN KEY ("organization_id","group_id") REFERENCES "public"."groups"("organization_id","id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "group_members" ADD CONSTRAINT "group_members_member_fkey" FOREIGN KEY ("organization_id","member_id") REFERENCES "public"."members"("organization_id","id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "groups" ADD CONSTRAINT "groups_organization_id_organizations_id_fk" FOREIGN KEY ("organization_id") REFERENCES "public"."organizations"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "group_members_member_id" ON "group_members" USING btree ("organization_id","member_id");--> statement-breakpoint
ALTER TABLE "members" ADD CONSTRAINT "members_external_id_taken" UNIQUE("organization_id","external_id");
--> statement-breakpoint
ALTER TABLE groups ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE group_members ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY own_organization ON groups TO latchkey_server USING (organization_id = (SELECT current_organization_id()));
CREATE POLICY own_organization ON group_members TO latchkey_server USING (organization_id = (SELECT current_organization_id()));
GRANT SELECT, INSERT, UPDATE, DELETE ON groups, group_members TO latchkey_server;
--> statement-breakpoint
-- A membership can end, and its person goes with the last one: the foreign key keeps whoever is a member anywhere.
GRANT DELETE ON members, people TO latchkey_server;
--> statement-breakpoint
CREATE FUNCTION keep_changed_at() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, public AS $$
BEGIN
  NEW.changed_at := now();
  RETURN NEW;
END
$$;
CREATE TRIGGER keep_changed_at BEFORE UPDATE ON members FOR EACH ROW
  WHEN (OLD IS DISTINCT FROM NEW) EXECUTE FUNCTION keep_changed_at();
CREATE TRIGGER keep_changed_at BEFORE UPDATE ON groups FOR EACH ROW EXECUTE FUNCTION keep_changed_at();
