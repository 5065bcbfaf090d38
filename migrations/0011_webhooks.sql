CREATE TABLE "webhook_attempts" (
	"organization_id" text NOT NULL,
	"delivery_id" text NOT NULL,
	"number" integer NOT NULL,
	"at" timestamp (3) with time zone NOT NULL,
	"status_code" integer,
	"problem" text,
	"duration_milliseconds" integer NOT NULL,
	CONSTRAINT "webhook_attempts_organization_id_delivery_id_number_pk" PRIMARY KEY("organization_id","delivery_id","number")
);
--> statement-breakpoint
CREATE TABLE "webhook_deliveries" (
	"id" text PRIMARY KEY NOT NULL,
	"organization_id" text NOT NULL,
	"webhook_id" text NOT NULL,
	"sequence" bigint GENERATED ALWAYS AS IDENTITY (sequence name "webhook_deliveries_sequence_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"event_id" text NOT NULL,
	"event_type" text NOT NULL,
	"token_id" text,
	"payload" text NOT NULL,
	"status" text DEFAULT 'PENDING' NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"due_at" timestamp (3) with time zone DEFAULT now(),
	"give_up_at" timestamp (3) with time zone NOT NULL,
	"attempts" integer DEFAULT 0 NOT NULL,
	CONSTRAINT "webhook_deliveries_organization_id_id_key" UNIQUE("organization_id","id"),
	CONSTRAINT "webhook_deliveries_status" CHECK (status in ('PENDING', 'DELIVERED', 'FAILED'))
);
--> statement-breakpoint
CREATE TABLE "webhooks" (
	"id" text PRIMARY KEY NOT NULL,
	"organization_id" text NOT NULL,
	"url" text NOT NULL,
	"description" text,
	"event_types" text[] NOT NULL,
	"enabled" boolean DEFAULT true NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"secret" "bytea" NOT NULL,
	"former_secret" "bytea",
	"former_secret_until" timestamp (3) with time zone,
	"key_id" text NOT NULL,
	"failing_since" timestamp (3) with time zone,
	"last_delivered_at" timestamp (3) with time zone,
	"expiries_told_until" timestamp (3) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "webhooks_organization_id_id_key" UNIQUE("organization_id","id")
);
--> statement-breakpoint
ALTER TABLE "webhook_attempts" ADD CONSTRAINT "webhook_attempts_delivery_fkey" FOREIGN KEY ("organization_id","delivery_id") REFERENCES "public"."webhook_deliveries"("organization_id","id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "webhook_deliveries" ADD CONSTRAINT "webhook_deliveries_webhook_fkey" FOREIGN KEY ("organization_id","webhook_id") REFERENCES "public"."webhooks"("organization_id","id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "webhooks" ADD CONSTRAINT "webhooks_organization_id_organizations_id_fk" FOREIGN KEY ("organization_id") REFERENCES "public"."organizations"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "webhook_deliveries_sequence" ON "webhook_deliveries" USING btree ("organization_id","webhook_id","sequence");--> statement-breakpoint
CREATE INDEX "webhook_deliveries_token" ON "webhook_deliveries" USING btree ("organization_id","webhook_id","token_id","sequence");--> statement-breakpoint
CREATE INDEX "webhook_deliveries_due" ON "webhook_deliveries" USING btree ("due_at") WHERE status = 'PENDING';--> statement-breakpoint
CREATE INDEX "webhook_deliveries_ended" ON "webhook_deliveries" USING btree ("organization_id","created_at") WHERE status <> 'PENDING';
--> statement-breakpoint
ALTER TABLE webhooks ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE webhook_deliveries ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE webhook_attempts ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY own_organization ON webhooks TO latchkey_server USING (organization_id = (SELECT current_organization_id()));
CREATE POLICY own_organization ON webhook_deliveries TO latchkey_server USING (organization_id = (SELECT current_organization_id()));
CREATE POLICY own_organization ON webhook_attempts TO latchkey_server USING (organization_id = (SELECT current_organization_id()));
GRANT SELECT, INSERT, UPDATE, DELETE ON webhooks, webhook_deliveries TO latchkey_server;
GRANT SELECT, INSERT, DELETE ON webhook_attempts TO latchkey_server;
--> statement-breakpoint
-- Which organizations there is something to send for, or to tell: nothing of what it is.
CREATE POLICY every_organization ON webhooks FOR SELECT TO latchkey_lookup USING (true);
CREATE POLICY every_organization ON webhook_deliveries FOR SELECT TO latchkey_lookup USING (true);
GRANT SELECT (id, organization_id, enabled, key_id, expiries_told_until) ON webhooks TO latchkey_lookup;
GRANT SELECT (organization_id, status, due_at) ON webhook_deliveries TO latchkey_lookup;
