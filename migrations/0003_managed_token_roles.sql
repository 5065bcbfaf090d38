-- Forced row-level security binds the tables' owner too, who adds these rows once and under a policy of the moment.
CREATE POLICY migration ON token_roles TO CURRENT_USER USING (true);
--> statement-breakpoint
INSERT INTO token_roles (id, label, description, permissions) VALUES
  ('role_ci', 'CI Token', 'A pipeline that runs the scanner.', '{apps:read,scans:write,findings:read}'),
  ('role_scim', 'SCIM', 'An identity provider. Good at /scim/v2 and nowhere else.', '{scim:provision}'),
  ('role_jira', 'Jira', 'The Jira app that files findings as issues.', '{apps:read,findings:read,findings:comment}'),
  ('role_service_account', 'Service Account', 'Automation that makes CI tokens. It may create tokens of the role CI Token and do nothing else.', '{tokens:create-ci}');
--> statement-breakpoint
DROP POLICY migration ON token_roles;
