import { Button, NativeSelect } from '@mantine/core'
import { IconKey, IconPlus, IconSearchOff } from '@tabler/icons-react'
import { useQuery } from '@tanstack/react-query'
import { useNavigate, useSearch } from '@tanstack/react-router'
import { type ReactNode, useState } from 'react'
import { Failure } from '../interface/failure.tsx'
import { FilterMenu } from '../interface/filter-menu.tsx'
import { Notice } from '../interface/notice.tsx'
import { usePageTitle } from '../interface/page-title.ts'
import { Pages } from '../interface/pages.tsx'
import { SearchField } from '../interface/search-field.tsx'
import tools from '../interface/tools.module.css'
import { useViewer } from '../session/session.ts'
import { CreatePanel } from './create-panel.tsx'
import { describeCount, isFiltered, isSort, type ListView, sorts, statuses } from './list-view.ts'
import { listQuery, rolesQuery } from './queries.ts'
import { TokenTable } from './token-table.tsx'

const from = '/signed-in/organizations/$slug/integration-tokens'

/** The organization's tokens, as the address has them searched, filtered, sorted and paged. */
export function ListPage() {
  const { organization } = useViewer()
  usePageTitle('Integration Tokens', organization.name)
  const view = useSearch({ from })
  const navigate = useNavigate()
  const [isCreating, create] = useState(false)
  const tokens = useQuery(listQuery(organization.id, view))
  const show = (changed: ListView, { replace = false } = {}) =>
    void navigate({ to: '.', search: changed, replace, resetScroll: false })
  /** From the first page on: a cursor belongs to one order of one selection. */
  const select = ({ after: _after, before: _before, ...changed }: ListView, options = {}) => show(changed, options)
  const { data: page } = tokens
  const createButton = (
    <Button leftSection={<IconPlus aria-hidden size={16} />} aria-haspopup="dialog" onClick={() => create(true)}>
      Create Token
    </Button>
  )

  return (
    <>
      <div className={tools.tools}>
        <SearchField
          label="Search by label or description"
          value={view.search ?? ''}
          onSearch={(search) => select({ ...view, search }, { replace: true })}
        />
        <RoleFilter view={view} onChange={select} />
        <FilterMenu
          name="Status"
          options={Object.entries(statuses)}
          chosen={view.status?.split(',') ?? []}
          onChange={(chosen) => select({ ...view, status: chosen.join(',') })}
        />
        <NativeSelect
          aria-label="Order"
          value={view.sort ?? 'CREATED_AT_DESC'}
          onChange={({ currentTarget: { value } }) => {
            if (isSort(value)) select({ ...view, sort: value })
          }}
          data={Object.entries(sorts).map(([value, label]) => ({ value, label }))}
        />
        <div className={tools.create}>{createButton}</div>
      </div>

      {tokens.isError && !page ? (
        <Failure title="The tokens cannot be shown" error={tokens.error} retry={() => void tokens.refetch()} />
      ) : page && page.nodes.length === 0 ? (
        <Nothing view={view} onShow={show} createButton={createButton} />
      ) : (
        <>
          <TokenTable tokens={page?.nodes ?? null} isStale={tokens.isPlaceholderData} />
          {page && (
            <Pages
              of="integration tokens"
              pageInfo={page.pageInfo}
              count={describeCount(page.totalCount ?? page.nodes.length)}
              onTurn={(bounds) => {
                const { after: _after, before: _before, ...rest } = view
                show({ ...rest, ...bounds })
              }}
            />
          )}
        </>
      )}
      <CreatePanel opened={isCreating} onClose={() => create(false)} />
    </>
  )
}

function RoleFilter({ view, onChange }: { view: ListView; onChange: (view: ListView) => void }) {
  const { organization } = useViewer()
  const { data: roles = [] } = useQuery(rolesQuery(organization.id))
  return (
    <FilterMenu
      name="Role"
      options={roles.map(({ id, label }) => [id, label])}
      chosen={view.role?.split(',') ?? []}
      onChange={(chosen) => onChange({ ...view, role: chosen.join(',') })}
    />
  )
}

function Nothing({
  view,
  onShow,
  createButton,
}: {
  view: ListView
  onShow: (view: ListView) => void
  createButton: ReactNode
}) {
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
        The tokens that were here have been deleted, or have changed.
      </Notice>
    )
  }
  if (isFiltered(view)) {
    return (
      <Notice
        icon={<IconSearchOff />}
        title="No token matches"
        action={
          <Button variant="default" onClick={() => onShow(view.sort ? { sort: view.sort } : {})}>
            Clear search and filters
          </Button>
        }
      >
        Try fewer letters, or another role or status. Expired tokens are shown only where the status says so.
      </Notice>
    )
  }
  return (
    <Notice icon={<IconKey />} title="No integration tokens yet" action={createButton}>
      An integration token lets a pipeline, an identity provider or Jira act for the whole organization. It belongs to
      the organization, and stays when its creator leaves.
    </Notice>
  )
}
