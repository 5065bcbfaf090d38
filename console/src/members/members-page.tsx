import type { Member } from '@latchkey/sdk'
import { Alert, Button } from '@mantine/core'
import { IconCheck, IconPlus, IconSearchOff } from '@tabler/icons-react'
import { useQuery } from '@tanstack/react-query'
import { useNavigate, useSearch } from '@tanstack/react-router'
import { useState } from 'react'
import { Failure } from '../interface/failure.tsx'
import { FilterMenu } from '../interface/filter-menu.tsx'
import { Notice } from '../interface/notice.tsx'
import { usePageTitle } from '../interface/page-title.ts'
import { Pages } from '../interface/pages.tsx'
import { SearchField } from '../interface/search-field.tsx'
import tools from '../interface/tools.module.css'
import { mayManage, organizationRoleNames } from '../session/roles.ts'
import { useViewer } from '../session/session.ts'
import { ActiveWarning } from './active-warning.tsx'
import { ChangeRolePanel } from './change-role-panel.tsx'
import { Invitations } from './invitation-table.tsx'
import { InvitePanel, type Inviting } from './invite-panel.tsx'
import { MemberTable } from './member-table.tsx'
import { describeMemberCount, type MemberView, memberStatuses } from './member-view.ts'
import { membersQuery } from './queries.ts'

const from = '/signed-in/organizations/$slug/members'

type Action = { kind: 'change-role' | 'set-active'; member: Member } | { kind: 'invite'; inviting: Inviting }

/** Who is in the organization, as the address has it searched, filtered and paged; for admins also who is invited. */
export function MembersPage() {
  const viewer = useViewer()
  const { organization } = viewer
  usePageTitle('Members', organization.name)
  const view = useSearch({ from })
  const navigate = useNavigate()
  const members = useQuery(membersQuery(organization.id, view))
  const [action, setAction] = useState<Action | null>(null)
  const [done, say] = useState<string | null>(null)
  const act = (next: Action) => {
    say(null)
    setAction(next)
  }
  const close = () => setAction(null)
  const show = (changed: MemberView, { replace = false } = {}) =>
    void navigate({ to: '.', search: changed, replace, resetScroll: false })
  /** From the first page on: a cursor belongs to one selection. */
  const select = ({ after: _after, before: _before, ...changed }: MemberView, options = {}) => show(changed, options)
  const memberOf = (kind: Action['kind']) =>
    action && action.kind !== 'invite' && action.kind === kind ? action.member : null
  const isManaging = mayManage(viewer)
  const { data: page } = members
  return (
    <>
      <div className={tools.tools}>
        <SearchField
          label="Search by name or email address"
          value={view.search ?? ''}
          onSearch={(search) => select({ ...view, search }, { replace: true })}
        />
        <FilterMenu
          name="Role"
          options={Object.entries(organizationRoleNames)}
          chosen={view.role?.split(',') ?? []}
          onChange={(chosen) => select({ ...view, role: chosen.join(',') })}
        />
        <FilterMenu
          name="Status"
          options={Object.entries(memberStatuses)}
          chosen={view.status?.split(',') ?? []}
          onChange={(chosen) => select({ ...view, status: chosen.join(',') })}
        />
        {isManaging && (
          <div className={tools.create}>
            <Button
              leftSection={<IconPlus aria-hidden size={16} />}
              aria-haspopup="dialog"
              onClick={() => act({ kind: 'invite', inviting: { again: null } })}
            >
              Invite Member
            </Button>
          </div>
        )}
      </div>
      <div role="status">
        {done && (
          <Alert role="note" icon={<IconCheck aria-hidden />} mb="md">
            {done}
          </Alert>
        )}
      </div>
      {members.isError && !page ? (
        <Failure title="The members cannot be shown" error={members.error} retry={() => void members.refetch()} />
      ) : page && page.nodes.length === 0 ? (
        <Nothing view={view} onShow={show} />
      ) : (
        <>
          <MemberTable
            members={page?.nodes ?? null}
            isStale={members.isPlaceholderData}
            actions={{
              onChangeRole: (member) => act({ kind: 'change-role', member }),
              onSetActive: (member) => act({ kind: 'set-active', member }),
            }}
          />
          {page && (
            <Pages
              of="members"
              pageInfo={page.pageInfo}
              count={describeMemberCount(page.totalCount ?? page.nodes.length)}
              onTurn={(bounds) => {
                const { after: _after, before: _before, ...rest } = view
                show({ ...rest, ...bounds })
              }}
            />
          )}
        </>
      )}
      {isManaging && (
        <>
          <Invitations onRenew={(again) => act({ kind: 'invite', inviting: { again } })} onWithdrawn={say} />
          <InvitePanel inviting={action?.kind === 'invite' ? action.inviting : null} onClose={close} />
          <ChangeRolePanel member={memberOf('change-role')} onClose={close} onChanged={say} />
          <ActiveWarning member={memberOf('set-active')} onClose={close} onChanged={say} />
        </>
      )}
    </>
  )
}

function Nothing({ view, onShow }: { view: MemberView; onShow: (view: MemberView) => void }) {
  if (view.after || view.before) {
    return (
      <Notice
        icon={<IconSearchOff />}
        title="There is nothing on this page any more"
        action={
          <Button variant="default" onClick={() => onShow({ ...view, after: '', before: '' })}>
            Go to the first page
          </Button>
        }
      >
        The members who were here have been removed, or have changed.
      </Notice>
    )
  }
  return (
    <Notice
      icon={<IconSearchOff />}
      title="No member matches"
      action={
        <Button variant="default" onClick={() => onShow({})}>
          Clear search and filters
        </Button>
      }
    >
      Try fewer letters, or another role or status.
    </Notice>
  )
}
