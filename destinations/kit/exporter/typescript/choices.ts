/**
 * Asks the partner for the choices of a field.
 *
 * This file is the same for every destination; what is special to this one stands in the actions.
 */
import type { DynamicFieldResponse, RequestClient } from '@segment/actions-core'
import { answerOf, contextOf, exchange, partOf, resolve, text } from './http'
import type { Mapping, PartnerRequest } from './http'

/** Where the choices stand: `items` and `next` are mappings on `answer`, the others on an item. */
export interface ChoiceForm {
  items: Mapping
  value: Mapping
  label?: Mapping
  next?: Mapping
}

/** What asks for a page of choices. */
export function choicesOf(
  one: PartnerRequest,
  form: ChoiceForm
): (request: RequestClient, data: { settings: unknown; page?: string }) => Promise<DynamicFieldResponse> {
  return async (request, { settings, page }) => {
    try {
      const context = contextOf(one, {}, settings, page === '' ? undefined : page)
      const { response, failures } = await exchange(request, one, context, [partOf(one, context)])
      const [failure] = failures
      if (failure !== undefined) {
        return { choices: [], nextPage: '', error: { message: failure.message, code: String(failure.status) } }
      }
      const answer = answerOf(response)
      const items = resolve(form.items, { answer })
      const all = (Array.isArray(items) ? items : []).map((item: unknown) => {
        const value = text(resolve(form.value, item))
        return { value, label: form.label === undefined ? value : text(resolve(form.label, item)) || value }
      })
      const choices = all.filter(({ value }) => value !== '')
      return { choices, nextPage: form.next === undefined ? '' : text(resolve(form.next, { answer })) }
    } catch (error) {
      return { choices: [], nextPage: '', error: { message: (error as Error).message, code: '500' } }
    }
  }
}
