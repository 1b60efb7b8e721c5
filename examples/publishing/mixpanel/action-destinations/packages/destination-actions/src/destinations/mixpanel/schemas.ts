// Exported by `destinations export segment` from mixpanel 1.0.0.
// Digests: schemas.ts 7dc7de04a6fecdfd
/**
 * Tests answers with JSON Schemas.
 *
 * This file is the same for every destination; what is special to this one stands in requests.ts.
 */
import { isDeepStrictEqual } from 'util'

export interface Schema {
  type?: string | readonly string[]
  const?: unknown
  enum?: readonly unknown[]
  required?: readonly string[]
  properties?: Record<string, Schema | boolean>
  additionalProperties?: Schema | boolean
  items?: Schema | boolean
  contains?: Schema | boolean
  minItems?: number
  maxItems?: number
  minLength?: number
  maxLength?: number
  pattern?: string
  minimum?: number
  maximum?: number
  exclusiveMinimum?: number
  exclusiveMaximum?: number
  anyOf?: ReadonlyArray<Schema | boolean>
  allOf?: ReadonlyArray<Schema | boolean>
  oneOf?: ReadonlyArray<Schema | boolean>
  not?: Schema | boolean
}

/** What tests whether a value fits a schema. */
export function fits(schema: Schema): (value: unknown) => boolean {
  return (value) => test(schema, value)
}

function test(schema: Schema | boolean, value: unknown): boolean {
  if (typeof schema === 'boolean') {
    return schema
  }
  const types = typeof schema.type === 'string' ? [schema.type] : schema.type
  return (
    (types === undefined || types.some((type) => isOfType(type, value))) &&
    (!has(schema, 'const') || isSame(value, schema.const)) &&
    (schema.enum === undefined || schema.enum.some((one) => isSame(value, one))) &&
    (schema.allOf ?? []).every((one) => test(one, value)) &&
    (schema.anyOf === undefined || schema.anyOf.some((one) => test(one, value))) &&
    (schema.oneOf === undefined || schema.oneOf.filter((one) => test(one, value)).length === 1) &&
    (schema.not === undefined || !test(schema.not, value)) &&
    testObject(schema, value) &&
    testList(schema, value) &&
    testText(schema, value) &&
    testNumber(schema, value)
  )
}

/** Whether an object has a member of its own: names such as constructor are there without. */
function has(members: object, key: string): boolean {
  return Object.prototype.hasOwnProperty.call(members, key)
}

function isSame(one: unknown, other: unknown): boolean {
  return isDeepStrictEqual(withoutSign(one), withoutSign(other))
}

/** A value of JSON with 0 for -0, which are one number. */
function withoutSign(value: unknown): unknown {
  if (Array.isArray(value)) {
    return value.map(withoutSign)
  }
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, withoutSign(one)]))
  }
  return value === 0 ? 0 : value
}

function isOfType(type: string, value: unknown): boolean {
  switch (type) {
    case 'null':
      return value === null
    case 'array':
      return Array.isArray(value)
    case 'object':
      return typeof value === 'object' && value !== null && !Array.isArray(value)
    case 'integer':
      return Number.isInteger(value)
    default:
      return typeof value === type
  }
}

function testObject(schema: Schema, value: unknown): boolean {
  if (!isOfType('object', value)) {
    return true
  }
  const members = value as Record<string, unknown>
  const known = schema.properties ?? {}
  const others = Object.keys(members).filter((key) => !has(known, key))
  return (
    (schema.required ?? []).every((key) => has(members, key)) &&
    Object.entries(known).every(([key, one]) => !has(members, key) || test(one, members[key])) &&
    others.every((key) => test(schema.additionalProperties ?? true, members[key]))
  )
}

function testList(schema: Schema, value: unknown): boolean {
  if (!Array.isArray(value)) {
    return true
  }
  const { items = true, contains, minItems = 0, maxItems = Infinity } = schema
  return (
    value.length >= minItems &&
    value.length <= maxItems &&
    value.every((item) => test(items, item)) &&
    (contains === undefined || value.some((item) => test(contains, item)))
  )
}

function testText(schema: Schema, value: unknown): boolean {
  if (typeof value !== 'string') {
    return true
  }
  const { minLength = 0, maxLength = Infinity, pattern } = schema
  const length = [...value].length
  return length >= minLength && length <= maxLength && (pattern === undefined || expression(pattern).test(value))
}

/** A regular expression, whose beginning may be the flag `(?i)`. */
export function expression(pattern: string): RegExp {
  const rest = pattern.replace(/^\(\?i\)/, '')
  return new RegExp(rest, rest === pattern ? 'u' : 'iu')
}

function testNumber(schema: Schema, value: unknown): boolean {
  if (typeof value !== 'number') {
    return true
  }
  const { minimum = -Infinity, maximum = Infinity, exclusiveMinimum, exclusiveMaximum } = schema
  return (
    value >= minimum &&
    value <= maximum &&
    (exclusiveMinimum === undefined || value > exclusiveMinimum) &&
    (exclusiveMaximum === undefined || value < exclusiveMaximum)
  )
}
