ALTER TABLE "integration_tokens" ADD COLUMN "created_by_token_id" text;
--> statement-breakpoint
-- Managed roles are nobody's, so that row-level security steps aside for the tables' owner within this transaction.
ALTER TABLE token_roles NO FORCE ROW LEVEL SECURITY;
UPDATE token_roles SET description = 'Automation that makes CI tokens. It may create tokens of the role CI Token, delete those that it has made, and do nothing else.'
  WHERE id = 'role_service_account';
ALTER TABLE token_roles FORCE ROW LEVEL SECURITY;
