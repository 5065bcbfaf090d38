/** What GraphiQL opens with, a tab each: its name is the operation’s. */
export const readyQueries: readonly { query: string; variables?: string }[] = [
  {
    query: `# The organization’s tokens, a page at a time. The
# next page begins “after” the endCursor of this.
query Tokens($search: String, $after: String) {
  integrationTokens(first: 20, after: $after, filter: { search: $search }) {
    nodes {
      id
      label
      description
      status
      role {
        label
        permissions
      }
      createdAt
      expiresAt
      lastUsedAt
      lastUsedFrom
    }
    pageInfo {
      hasNextPage
      endCursor
    }
    totalCount
  }
}
`,
  },
  {
    query: `# The secret is in the answer, this once. Other
# roles are in the query “tokenRoles”.
mutation CreateToken($input: CreateTokenInput!) {
  createToken(input: $input) {
    ... on CreateTokenPayload {
      secret
      token {
        id
        label
        role {
          label
          permissions
        }
        expiresAt
      }
    }
    ... on Refusal {
      message
    }
  }
}
`,
    variables: `{
  "input": {
    "label": "Jenkins",
    "description": "Scans the main branch",
    "roleId": "role_ci"
  }
}`,
  },
  {
    query: `# A new secret, while the old one is accepted for
# another hour. The ids are in Tokens.
mutation RegenerateToken($id: ID!, $overlapSeconds: Int!) {
  regenerateToken(input: { id: $id, overlapSeconds: $overlapSeconds }) {
    ... on RegenerateTokenPayload {
      secret
      token {
        label
        secrets {
          hint
          acceptedUntil
          lastUsedAt
        }
      }
    }
    ... on Refusal {
      message
    }
  }
}
`,
    variables: `{
  "id": "",
  "overlapSeconds": 3600
}`,
  },
  {
    query: `# Whatever uses the token breaks at once, for good.
# The ids are in Tokens.
mutation DeleteToken($id: ID!) {
  deleteToken(input: { id: $id }) {
    ... on DeleteTokenPayload {
      deletedTokenId
    }
    ... on Refusal {
      message
    }
  }
}
`,
    variables: `{
  "id": ""
}`,
  },
  {
    query: `# What was done in the organization, newest first.
query AuditEvents($after: String, $actions: [String!]) {
  auditEvents(first: 20, after: $after, filter: { actions: $actions }) {
    nodes {
      at
      action
      actor
      target
      ipAddress
    }
    pageInfo {
      hasNextPage
      endCursor
    }
  }
}
`,
  },
  {
    query: `# The addresses that are told what happens to tokens.
query Webhooks {
  webhooks {
    id
    url
    description
    eventTypes
    enabled
    failingSince
    lastDeliveredAt
  }
}
`,
  },
  {
    query: `# The secret, with which the receiver checks
# signatures, is in the answer, this once.
mutation CreateWebhook($input: CreateWebhookInput!) {
  createWebhook(input: $input) {
    ... on CreateWebhookPayload {
      secret
      webhook {
        id
        url
        eventTypes
      }
    }
    ... on Refusal {
      message
    }
  }
}
`,
    variables: `{
  "input": {
    "url": "https://example.com/hooks",
    "eventTypes": ["TOKEN_CREATED", "TOKEN_DELETED", "TOKEN_EXPIRING"]
  }
}`,
  },
  {
    query: `# The members have the role at once; null takes it
# back. The ids are in the query “groups”.
mutation SetGroupRole($groupId: ID!, $role: GroupRole) {
  setGroupRole(input: { groupId: $groupId, role: $role }) {
    ... on SetGroupRolePayload {
      group {
        displayName
        role
        memberCount
      }
    }
    ... on Refusal {
      message
    }
  }
}
`,
    variables: `{
  "groupId": "",
  "role": "POWER_USER"
}`,
  },
  {
    query: `# Who you are here, and where else you may be.
query Viewer {
  viewer {
    ... on MemberViewer {
      member {
        email
        role
      }
      organization {
        name
        slug
      }
      organizations {
        name
        slug
      }
    }
  }
}
`,
  },
]
