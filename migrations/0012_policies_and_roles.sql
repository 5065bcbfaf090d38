ALTER TABLE "organizations" ADD COLUMN "longest_token_lifetime_days" integer;--> statement-breakpoint
ALTER TABLE "organizations" ADD COLUMN "token_expiry_required" boolean DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE "organizations" ADD COLUMN "default_token_lifetime_days" integer;--> statement-breakpoint
ALTER TABLE "token_roles" ADD COLUMN "label_key" text;--> statement-breakpoint
-- Managed roles are nobody's, so that row-level security steps aside for the tables' owner within this transaction.
ALTER TABLE token_roles NO FORCE ROW LEVEL SECURITY;
UPDATE token_roles SET label_key = lower(normalize(label, NFKC));
ALTER TABLE token_roles FORCE ROW LEVEL SECURITY;
ALTER TABLE "token_roles" ALTER COLUMN "label_key" SET NOT NULL;
--> statement-breakpoint
ALTER TABLE "token_roles" ADD CONSTRAINT "token_roles_label_taken" UNIQUE("organization_id","label_key");--> statement-breakpoint
ALTER TABLE "token_roles" ADD CONSTRAINT "token_roles_reserved" CHECK (organization_id is null or array_to_string(permissions, ' ') !~ '(^| )(tokens|members|scim):');
