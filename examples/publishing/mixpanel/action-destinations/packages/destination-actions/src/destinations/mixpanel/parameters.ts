// Exported by `destinations export segment` from mixpanel 1.0.0.
// Digests: parameters.ts 3c333317c0160c52
/**
 * Writes the parameters of queries and forms.
 *
 * This file is the same for every destination; what is special to this one stands in requests.ts.
 */
import { PayloadValidationError } from '@segment/actions-core'
import { jsonOf, resolve, wholeText } from './http'
import type { Context, Mapping } from './http'

/** How lists and objects are written: `a=1&a=2`, `a[]=1&a[]=2`, `a=1,2`, or as JSON. */
export type ArrayFormat = 'repeat' | 'brackets' | 'comma' | 'json'

/** What writes a mapping as parameters, without null and undefined values. */
export function parameters(mapping: Mapping, format?: ArrayFormat): (context: Context) => string {
  return (context) => {
    const values = resolve(mapping, context)
    if (typeof values !== 'object' || values === null || Array.isArray(values)) {
      return ''
    }
    const pairs = Object.entries(values).flatMap(([name, value]) => pairsOf(name, value, format))
    return new URLSearchParams(pairs.map((pair) => pair.map(wholeText))).toString()
  }
}

function pairsOf(name: string, value: unknown, format: ArrayFormat | undefined): string[][] {
  if (value === null || value === undefined) {
    return []
  }
  if (typeof value !== 'object') {
    return [[name, String(value)]]
  }
  if (format === 'json') {
    return [[name, jsonOf(value)]]
  }
  if (format === 'brackets') {
    return bracketed(name, value, DEEPEST)
  }
  const items = Array.isArray(value) ? value.filter((item) => item !== null && item !== undefined) : undefined
  if (format === undefined || items === undefined || items.some((item) => typeof item === 'object')) {
    throw new PayloadValidationError(`The parameter ${name} is a list or an object that cannot be written.`)
  }
  if (format === 'repeat') {
    return items.map((item) => [name, String(item)])
  }
  if (items.some((item) => String(item).includes(','))) {
    throw new PayloadValidationError(`An item of the parameter ${name} has a comma, which would split it in two.`)
  }
  return items.length === 0 ? [] : [[name, items.join(',')]]
}

/** The most levels of objects and lists in one parameter. */
const DEEPEST = 100

function bracketed(name: string, value: unknown, levels: number): string[][] {
  if (levels === 0) {
    throw new PayloadValidationError(`The parameter ${name.split('[')[0]} is nested too deeply.`)
  }
  if (value === null || value === undefined) {
    return []
  }
  if (typeof value !== 'object') {
    return [[name, String(value)]]
  }
  if (!Array.isArray(value)) {
    return Object.entries(value).flatMap(([key, item]) => bracketed(`${name}[${key}]`, item, levels - 1))
  }
  const nests = value.some((item) => typeof item === 'object')
  return value.flatMap((item, at) => bracketed(`${name}[${nests ? at : ''}]`, item, levels - 1))
}
