// Exported by `destinations export segment` from mixpanel 1.0.0.
// Digests: index.ts b0b0ee5e7035c2b0, generated-types.ts b55014222bc0b389, metadata.json 03fca4953728366f
import { defaultValues } from '@segment/actions-core'
import type { DestinationDefinition } from '@segment/actions-core'
import type { Settings } from './generated-types'
import { basic } from './http'
import importEvent from './importEvent'
import setProfile from './setProfile'

// By hand: begin
// By hand: end

const destination: DestinationDefinition<Settings> = {
  name: 'Mixpanel',
  slug: 'actions-mixpanel',
  mode: 'cloud',
  description:
    'Mixpanel is a product analytics platform. This destination imports events in batches, of which Mixpanel counts each once, and sets the properties of user profiles.',
  authentication: {
    scheme: 'custom',
    fields: {
      projectToken: {
        label: 'Project Token',
        description: 'The token of your project, from its settings in Mixpanel.',
        type: 'password',
        required: true
      },
      region: {
        label: 'Data Residency',
        description: 'Where Mixpanel keeps the data of your project.',
        type: 'string',
        choices: [
          { label: 'us', value: 'us' },
          { label: 'eu', value: 'eu' },
          { label: 'in', value: 'in' }
        ],
        default: 'us'
      }
    }
  },
  extendRequest: ({ settings }) => ({ headers: basic(settings.projectToken) }),
  presets: [
    {
      name: 'Import track events',
      subscribe: 'type = "track"',
      partnerAction: 'importEvent',
      mapping: defaultValues(importEvent.fields),
      type: 'automatic'
    },
    {
      name: 'Set user profiles',
      subscribe: 'type = "identify"',
      partnerAction: 'setProfile',
      mapping: defaultValues(setProfile.fields),
      type: 'automatic'
    }
  ],
  actions: {
    importEvent,
    setProfile
  }
}

export default destination
