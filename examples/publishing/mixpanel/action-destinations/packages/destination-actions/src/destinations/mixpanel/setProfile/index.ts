// Exported by `destinations export segment` from mixpanel 1.0.0.
// Digests: index.ts 74a9f24450138737, generated-types.ts 395c90c7c64f3c52
import type { ActionDefinition } from '@segment/actions-core'
import type { Settings } from '../generated-types'
import type { Payload } from './generated-types'
import { sendBatch } from '../batches'
import { checks } from '../checks'
import { send } from '../http'
import { setProfiles } from '../requests'

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
  title: 'Set profile',
  description: "Set properties of a user's profile, and create the profile if it is missing.",
  defaultSubscription: 'type = "identify"',
  fields: {
    distinct_id: {
      label: 'Distinct ID',
      description: 'The ID of the user.',
      type: 'string',
      required: true,
      minimum: 1,
      default: { '@path': '$.userId' }
    },
    ip: {
      label: 'IP address',
      description: 'The address that Mixpanel derives the place of the user from.',
      type: 'string',
      default: { '@path': '$.context.ip' }
    },
    traits: {
      label: 'Traits',
      description: 'The properties to set.',
      type: 'object',
      required: true,
      default: { '@path': '$.traits' }
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
    return send(request, setProfiles, settings, check(payload))
  },
  performBatch: (request, { payload, settings }) => {
    return sendBatch(request, setProfiles, settings, payload, check)
  }
}

export default action
