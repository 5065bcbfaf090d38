import { Button, Menu, Pill, TextInput } from '@mantine/core'
import { IconDownload, IconHistory } from '@tabler/icons-react'
import { keepPreviousData, queryOptions, useMutation, useQuery } from '@tanstack/react-query'
import { useNavigate, useSearch } from '@tanstack/react-router'
import { useEffect, useRef, useState } from 'react'
import { Failure, FailureNote } from '../interface/failure.tsx'
import { FilterMenu } from '../interface/filter-menu.tsx'
import { Notice } from '../interface/notice.tsx'
import { usePageTitle } from '../interface/page-title.ts'
import { Pages } from '../interface/pages.tsx'
import tools from '../interface/tools.module.css'
import { latchkey } from '../latchkey.ts'
import { useViewer } from '../session/session.ts'
import { auditActions } from './audit-actions.ts'
import { type ExportForm, exportEvents } from './audit-export.ts'
import styles from './audit-page.module.css'
import { type AuditView, boundsOf, filterOf } from './audit-view.ts'
import { EventTable } from './event-table.tsx'

const from = '/signed-in/organizations/$slug/audit-log'

function eventsQuery(organizationId: string, view: AuditView) {
  return queryOptions({
    queryKey: ['audit', organizationId, view],
    queryFn: async () => (await latchkey.auditEvents({ ...boundsOf(view), filter: filterOf(view) })).auditEvents,
    placeholderData: keepPreviousData,
  })
}

/** Everything that was done in the organization, as the address has it filtered and paged; newest first. */
export function AuditPage() {
  const { organization } = useViewer()
  usePageTitle('Audit Log', organization.name)
  const view = useSearch({ from })
  const navigate = useNavigate()
  const events = useQuery(eventsQuery(organization.id, view))
  const show = (changed: AuditView) => void navigate({ to: '.', search: changed, resetScroll: false })
  const select = ({ after: _after, before: _before, ...changed }: AuditView) => show(changed)
  const { data: page } = events
  return (
    <>
      <div className={tools.tools}>
        <FilterMenu
          name="What"
          options={Object.entries(auditActions)}
          chosen={view.action?.split(',') ?? []}
          onChange={(chosen) => select({ ...view, action: chosen.join(',') })}
        />
        <Day label="From" value={view.since} onChange={(since) => select({ ...view, since })} />
        <Day label="To" value={view.until} onChange={(until) => select({ ...view, until })} />
        {view.target && (
          <Pill
            withRemoveButton
            size="md"
            onRemove={() => select({ ...view, target: '' })}
            removeButtonProps={{ 'aria-label': 'Show the events of everything', tabIndex: 0, 'aria-hidden': false }}
          >
            Of {page?.nodes[0]?.target ?? view.target} only
          </Pill>
        )}
        <Export view={view} />
      </div>
      {events.error && !page ? (
        <Failure title="The audit log cannot be shown" error={events.error} retry={() => void events.refetch()} />
      ) : page && page.nodes.length === 0 ? (
        <Notice
          icon={<IconHistory />}
          title="No event matches"
          action={
            <Button variant="default" onClick={() => show({})}>
              Clear the filters
            </Button>
          }
        >
          Try more days, or other kinds of events.
        </Notice>
      ) : (
        <>
          <EventTable events={page?.nodes ?? null} isStale={events.isPlaceholderData} />
          {page && (
            <Pages
              of="events"
              pageInfo={page.pageInfo}
              count=""
              onTurn={(bounds) => {
                const { after: _after, before: _before, ...rest } = view
                show({ ...rest, ...bounds })
              }}
            />
          )}
        </>
      )}
    </>
  )
}

function Day({
  label,
  value = '',
  onChange,
}: {
  label: string
  value: string | undefined
  onChange: (day: string) => void
}) {
  // Asked for once it is whole: a browser gives every digit of the year as another day.
  const [typed, setTyped] = useState(value)
  useEffect(() => setTyped(value), [value])
  const apply = () => {
    if (typed !== value) onChange(typed)
  }
  return (
    <TextInput
      type="date"
      label={label}
      value={typed}
      onChange={({ currentTarget }) => setTyped(currentTarget.value)}
      onBlur={apply}
      onKeyDown={({ key }) => {
        if (key === 'Enter') apply()
      }}
      classNames={{ root: styles.day, label: styles.dayLabel }}
    />
  )
}

function Export({ view }: { view: AuditView }) {
  const { organization } = useViewer()
  const [read, setRead] = useState(0)
  const stop = useRef<AbortController>(null)
  useEffect(() => () => stop.current?.abort(), [])
  const exporting = useMutation({
    mutationFn: async (form: ExportForm) => {
      const controller = new AbortController()
      stop.current = controller
      setRead(0)
      const name = `${organization.slug}-audit-log-${new Date().toISOString().slice(0, 10)}`
      await exportEvents(filterOf(view), form, { name, onProgress: setRead, signal: controller.signal })
    },
  })
  return (
    <div className={styles.export}>
      <span role="status" className={styles.progress}>
        {exporting.isPending && read > 0 && `${read.toLocaleString()} events read`}
      </span>
      <Menu position="bottom-end" withinPortal={false} withInitialFocusPlaceholder={false}>
        <Menu.Target>
          <Button variant="default" loading={exporting.isPending} leftSection={<IconDownload aria-hidden size={16} />}>
            Export
          </Button>
        </Menu.Target>
        <Menu.Dropdown>
          <Menu.Label>Every event that the filters let through</Menu.Label>
          <Menu.Item onClick={() => exporting.mutate('csv')}>As CSV</Menu.Item>
          <Menu.Item onClick={() => exporting.mutate('json')}>As JSON</Menu.Item>
        </Menu.Dropdown>
      </Menu>
      {exporting.error && <FailureNote error={exporting.error} />}
    </div>
  )
}
