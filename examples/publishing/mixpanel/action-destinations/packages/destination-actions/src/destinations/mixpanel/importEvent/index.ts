// Exported by `destinations export segment` from mixpanel 1.0.0.
// Digests: index.ts aa252e358bad8247, generated-types.ts 3daf6c298ad61f1d
import type { ActionDefinition } from '@segment/actions-core'
import type { Settings } from '../generated-types'
import type { Payload } from './generated-types'
import { sendBatch } from '../batches'
import { checks } from '../checks'
import { send } from '../http'
import { importEvents } from '../requests'

// By hand: begin
// By hand: end

const check = checks({
  distinct_id: {
    placeholders: ['undefined', 'null', 'none', 'nan', 'nil', 'n/a', 'anonymous', 'anon', 'true', '[object Object]']
  },
  event_userId: {
    event: 'userId',
    placeholders: ['undefined', 'null', 'none', 'nan', 'nil', 'n/a', 'anonymous', 'anon', 'true', '[object Object]']
  }
})

const action: ActionDefinition<Settings, Payload> = {
  title: 'Import event',
  description: 'Import an event of a user, also one of long ago.',
  defaultSubscription: 'type = "track"',
  fields: {
    event: {
      label: 'Event name',
      description: 'The name of the event.',
      type: 'string',
      required: true,
      minimum: 1,
      default: { '@path': '$.event' }
    },
    distinct_id: {
      label: 'Distinct ID',
      description: 'The ID of the user. Mixpanel refuses IDs that only stand for a missing one, such as `null`.',
      type: 'string',
      required: true,
      minimum: 1,
      default: {
        '@if': { exists: { '@path': '$.userId' }, then: { '@path': '$.userId' }, else: { '@path': '$.anonymousId' } }
      }
    },
    insert_id: {
      label: 'Insert ID',
      description:
        'The ID of the message. Mixpanel recognizes an event that comes again by an ID of at most 36 letters, digits, and hyphens, which this destination derives from it.',
      type: 'string',
      required: true,
      minimum: 1,
      default: { '@path': '$.messageId' }
    },
    time: {
      label: 'Time',
      description:
        'The time of the event, in ISO 8601, or as a number: seconds or milliseconds since 1970. This destination sends milliseconds.',
      type: 'datetime',
      required: true,
      default: {
        '@if': {
          exists: { '@path': '$.timestamp' },
          then: { '@path': '$.timestamp' },
          else: { '@path': '$.receivedAt' }
        }
      }
    },
    ip: {
      label: 'IP address',
      description: 'The address that Mixpanel derives the place of the user from.',
      type: 'string',
      default: { '@path': '$.context.ip' }
    },
    properties: {
      label: 'Properties',
      description: 'The properties of the event.',
      type: 'object',
      default: { '@path': '$.properties' }
    },
    event_userId: {
      label: 'User ID of the event',
      description: 'Mixpanel takes no event in which it stands for a missing value.',
      type: 'string',
      unsafe_hidden: true,
      default: { '@path': '$.userId' }
    },
    enable_batching: {
      label: 'Batch events to Mixpanel',
      description: 'Whether Segment sends up to 2,000 events in one request.',
      type: 'boolean',
      default: true
    },
    batch_size: {
      label: 'Batch size',
      description: 'The largest number of events in one request.',
      type: 'number',
      unsafe_hidden: true,
      default: 2000
    },
    batch_bytes: {
      label: 'Batch bytes',
      description: 'The largest number of bytes in one request.',
      type: 'number',
      unsafe_hidden: true,
      default: 10000000
    }
  },
  perform: (request, { payload, settings }) => {
    return send(request, importEvents, settings, check(payload))
  },
  performBatch: (request, { payload, settings }) => {
    return sendBatch(request, importEvents, settings, payload, check)
  }
}

export default action
