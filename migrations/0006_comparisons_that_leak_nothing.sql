DROP INDEX "integration_tokens_expires_at";--> statement-breakpoint
DROP INDEX "integration_tokens_disabled";--> statement-breakpoint
DROP INDEX "token_uses_last_used_at";--> statement-breakpoint
CREATE INDEX "integration_tokens_expires_at" ON "integration_tokens" USING btree ("organization_id",(case when expires_at is null then 'infinity'::timestamptz else expires_at end),"id");--> statement-breakpoint
CREATE INDEX "integration_tokens_disabled" ON "integration_tokens" USING btree ("organization_id",(case when expires_at is null then 'infinity'::timestamptz else expires_at end),"id") WHERE not enabled;--> statement-breakpoint
CREATE INDEX "token_uses_last_used_at" ON "token_uses" USING btree ("organization_id",(case when last_used_at is null then '-infinity'::timestamptz else last_used_at end),"token_id");