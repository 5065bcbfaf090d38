import type { Provisioning } from './acting.ts'
import type { NameScope } from './attribute-path.ts'
import * as groups from './groups.ts'
import type { Listed, ListQuery } from './list-query.ts'
import { includes, type Projection, readProjection } from './projection.ts'
import type { Json } from './schemas.ts'
import * as users from './users.ts'

/** What can be done with each kind of resource. All of it throws `ScimError`. */
export interface ResourceKind {
  scope: NameScope
  create(acting: Provisioning, body: Json): Promise<Json>
  find(acting: Provisioning, id: string): Promise<Json>
  list(acting: Provisioning, query: ListQuery, projection: Projection): Promise<Listed>
  replace(acting: Provisioning, id: string, body: Json, ifMatch: string | null): Promise<Json>
  patch(acting: Provisioning, id: string, body: Json, ifMatch: string | null): Promise<Json>
  remove(acting: Provisioning, id: string, ifMatch: string | null): Promise<void>
  /** Whether a PATCH is answered with the resource, which may be long, where no attributes are asked for. */
  answersPatch: boolean
}

export const resourceKinds: Readonly<Record<'Users' | 'Groups', ResourceKind>> = {
  Users: {
    scope: users.userScope,
    create: users.createUser,
    find: users.findUser,
    list: users.listUsers,
    replace: users.replaceUser,
    patch: users.patchUser,
    remove: users.deleteUser,
    answersPatch: true,
  },
  Groups: {
    scope: groups.groupScope,
    create: groups.createGroup,
    find: groups.findGroup,
    list: (acting, query, projection) => groups.listGroups(acting, query, includes(projection, 'members')),
    replace: groups.replaceGroup,
    patch: groups.patchGroup,
    remove: groups.deleteGroup,
    answersPatch: false,
  },
}

export const projectionFor = ({ scope }: ResourceKind, query: ListQuery) => readProjection(query, scope)
